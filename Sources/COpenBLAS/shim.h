#include <cblas.h>

/* OpenBLAS exports these, but its Debian header leaves them out. */
char *openblas_get_config(void);
char *openblas_get_corename(void);
