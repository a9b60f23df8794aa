#ifndef ELASTIREC_BFLOAT16_H
#define ELASTIREC_BFLOAT16_H

#include <stddef.h>

/* Matrix products of numbers that are rounded to bfloat16 first: sums of float32, twice as many terms an
   instruction as in float32. In C because Swift has no name for the instruction (AVX512-BF16). */

/* c = alpha * a b + beta * c + bias: a is rows x depth, b is depth x columns, c is rows x columns; bias may be null.
   Numbers of a column of a stand a_row apart, those of a row a_column; one of the two is 1. So it is with b. */
typedef struct {
  ptrdiff_t rows, depth, columns;
  const float *a;
  ptrdiff_t a_row, a_column;
  const float *b;
  ptrdiff_t b_row, b_column;
  float *c;
  ptrdiff_t c_row;
  float alpha, beta;
  const float *bias;
} bfloat16_product;

/* Whether this processor has the instruction. */
int bfloat16_is_supported(void);

/* Carries the product out on this thread, with memory for BFLOAT16_SCRATCH floats at a multiple of 64 bytes. Only where
   the instruction is supported. */
#define BFLOAT16_SCRATCH 69632
void bfloat16_multiply(const bfloat16_product *product, float *scratch);

#endif
