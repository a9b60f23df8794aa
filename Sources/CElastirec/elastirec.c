#include "elastirec.h"
