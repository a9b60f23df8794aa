#include "bfloat16.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

#define FAST __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

/* What is multiplied at once: a tile of c, and how much of the sums. */
enum { TILE_ROWS = 8, TILE_COLUMNS = 32, PAIRS = 128, DEPTH = 2 * PAIRS, BLOCK_ROWS = 512 };

/* Two neighbouring terms of a row of a or a column of b, as the instruction takes them. */
typedef uint32_t pair;

/* Rounded parts of a and b, as much as stays in a core's second cache. In a the pairs of a row stand side by side where
   its numbers do, else the pairs of all rows. */
typedef struct {
  _Alignas(64) pair a[PAIRS * BLOCK_ROWS];
  _Alignas(64) pair b[PAIRS * TILE_COLUMNS];
} panels;
_Static_assert(sizeof(panels) == BFLOAT16_SCRATCH * sizeof(float), "scratch holds the panels");

static inline ptrdiff_t least(ptrdiff_t x, ptrdiff_t y) { return x < y ? x : y; }

FAST static inline __m512i rounded(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

FAST static inline __mmask16 first(ptrdiff_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

/* Rounds rows of numbers that stand side by side: out[line * PAIRS + p] is the pair 2p, 2p + 1 of a line. */
FAST static void round_lines(const float *x, ptrdiff_t step, ptrdiff_t lines, ptrdiff_t depth, pair *out) {
  ptrdiff_t whole = depth & ~31;
  __mmask16 low = first(depth - whole), high = first(depth - whole - 16);
  for (ptrdiff_t line = 0; line < lines; line++, x += step, out += PAIRS) {
    for (ptrdiff_t k = 0; k < whole; k += 32)
      _mm512_storeu_si512(out + k / 2, rounded(_mm512_loadu_ps(x + k), _mm512_loadu_ps(x + k + 16)));
    if (low)
      _mm512_storeu_si512(
          out + whole / 2,
          rounded(_mm512_maskz_loadu_ps(low, x + whole), _mm512_maskz_loadu_ps(high, x + whole + 16)));
  }
}

/* Rounds rows of which two make pairs: out[p * width + i] is the pair of numbers i of rows 2p, 2p + 1. */
FAST static void round_pairs(
    const float *x, ptrdiff_t step, ptrdiff_t depth, ptrdiff_t count, pair *out, ptrdiff_t width) {
  const __m512i order = _mm512_set_epi16(
      31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1,
      16, 0);
  ptrdiff_t whole = count & ~15;
  __mmask16 rest = first(count - whole);
  for (ptrdiff_t k = 0; k < depth; k += 2, x += 2 * step, out += width) {
    /* The last row of an odd number has a row of zeros beside it. */
    __mmask16 all = k + 1 < depth ? 0xffff : 0, some = rest & all;
    for (ptrdiff_t i = 0; i < whole; i += 16) {
      __m512i both = rounded(_mm512_loadu_ps(x + i), _mm512_maskz_loadu_ps(all, x + step + i));
      _mm512_storeu_si512(out + i, _mm512_permutexvar_epi16(order, both));
    }
    if (rest) {
      __m512i both =
          rounded(_mm512_maskz_loadu_ps(rest, x + whole), _mm512_maskz_loadu_ps(some, x + step + whole));
      _mm512_storeu_si512(out + whole, _mm512_permutexvar_epi16(order, both));
    }
  }
}

/* Turns 16 lines of pairs into rows: out[p * TILE_COLUMNS + i] is pair p of line i. */
FAST static void transpose(const pair *lines, ptrdiff_t count, pair *out) {
  for (ptrdiff_t p = 0; p < count; p += 16) {
    __m512i v[16], w[16];
    for (int i = 0; i < 16; i++) v[i] = _mm512_loadu_si512(lines + i * PAIRS + p);
    for (int i = 0; i < 16; i += 2) {
      w[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
      w[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    /* v[4 j + r]: number r of each four pairs, of lines 4 j ... 4 j + 3. */
    for (int j = 0; j < 16; j += 4) {
      v[j] = _mm512_unpacklo_epi64(w[j], w[j + 2]);
      v[j + 1] = _mm512_unpackhi_epi64(w[j], w[j + 2]);
      v[j + 2] = _mm512_unpacklo_epi64(w[j + 1], w[j + 3]);
      v[j + 3] = _mm512_unpackhi_epi64(w[j + 1], w[j + 3]);
    }
    for (int r = 0; r < 4; r++) {
      __m512i a = _mm512_shuffle_i32x4(v[r], v[4 + r], 0x44), b = _mm512_shuffle_i32x4(v[r], v[4 + r], 0xee);
      __m512i c = _mm512_shuffle_i32x4(v[8 + r], v[12 + r], 0x44), d = _mm512_shuffle_i32x4(v[8 + r], v[12 + r], 0xee);
      pair *place = out + (p + r) * TILE_COLUMNS;
      _mm512_storeu_si512(place, _mm512_shuffle_i32x4(a, c, 0x88));
      _mm512_storeu_si512(place + 4 * TILE_COLUMNS, _mm512_shuffle_i32x4(a, c, 0xdd));
      _mm512_storeu_si512(place + 8 * TILE_COLUMNS, _mm512_shuffle_i32x4(b, d, 0x88));
      _mm512_storeu_si512(place + 12 * TILE_COLUMNS, _mm512_shuffle_i32x4(b, d, 0xdd));
    }
  }
}

/* One tile of `vectors` times 16 columns, a constant where this is inlined: a[row * a_row + p * a_pair] times b[p * TILE_COLUMNS + column]. */
FAST __attribute__((always_inline)) static inline void multiply_tile(
    const pair *a, ptrdiff_t a_row, ptrdiff_t a_pair, const pair *b, ptrdiff_t pairs, const bfloat16_product *x,
    float *c, const float *bias, ptrdiff_t rows, ptrdiff_t columns, const int vectors) {
  __m512 sums[TILE_ROWS][2];
  for (int r = 0; r < TILE_ROWS; r++) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (ptrdiff_t p = 0; p < pairs; p++, a += a_pair, b += TILE_COLUMNS) {
    __m512bh low = (__m512bh)_mm512_load_si512(b), high = (__m512bh)_mm512_load_si512(b + 16);
#pragma clang loop unroll(full)
    for (int r = 0; r < TILE_ROWS; r++) {
      __m512bh factor = (__m512bh)_mm512_set1_epi32((int)a[r * a_row]);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], factor, low);
      if (vectors > 1) sums[r][1] = _mm512_dpbf16_ps(sums[r][1], factor, high);
    }
  }
  __m512 alpha = _mm512_set1_ps(x->alpha), beta = _mm512_set1_ps(x->beta);
  __mmask16 here[2] = {first(columns), first(columns - 16)};
#pragma clang loop unroll(full)
  for (int r = 0; r < TILE_ROWS; r++) {
    if (r >= rows) break;
    for (int h = 0; h < vectors; h++) {
      float *place = c + r * x->c_row + 16 * h;
      __m512 v = _mm512_mul_ps(alpha, sums[r][h]);
      if (bias) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(here[h], bias + 16 * h));
      if (x->beta != 0) v = _mm512_fmadd_ps(beta, _mm512_maskz_loadu_ps(here[h], place), v);
      _mm512_mask_storeu_ps(place, here[h], v);
    }
  }
}

/* Some rows of c and part of their sums. */
FAST static void multiply_block(const bfloat16_product *x, panels *p) {
  ptrdiff_t pairs = (x->depth + 1) / 2, width = (x->rows + 15) / 16 * 16;
  ptrdiff_t a_row = x->a_column == 1 ? PAIRS : 1, a_pair = x->a_column == 1 ? 1 : width;
  if (x->a_column == 1)
    round_lines(x->a, x->a_row, x->rows, x->depth, p->a);
  else
    round_pairs(x->a, x->a_column, x->depth, x->rows, p->a, width);
  for (ptrdiff_t column = 0; column < x->columns; column += TILE_COLUMNS) {
    ptrdiff_t columns = least(x->columns - column, TILE_COLUMNS);
    const float *b = x->b + column * x->b_column;
    if (x->b_column == 1) {
      round_pairs(b, x->b_row, x->depth, columns, p->b, TILE_COLUMNS);
    } else {
      pair lines[16 * PAIRS];
      for (ptrdiff_t half = 0; half < columns; half += 16) {
        round_lines(b + half * x->b_column, x->b_column, least(columns - half, 16), x->depth, lines);
        transpose(lines, pairs, p->b + half);
      }
    }
    for (ptrdiff_t row = 0; row < x->rows; row += TILE_ROWS) {
      const pair *a = p->a + row * a_row;
      float *c = x->c + row * x->c_row + column;
      const float *bias = x->bias ? x->bias + column : NULL;
      if (columns > 16)
        multiply_tile(a, a_row, a_pair, p->b, pairs, x, c, bias, x->rows - row, columns, 2);
      else
        multiply_tile(a, a_row, a_pair, p->b, pairs, x, c, bias, x->rows - row, columns, 1);
    }
  }
}

int bfloat16_is_supported(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

void bfloat16_multiply(const bfloat16_product *product, float *scratch) {
  for (ptrdiff_t row = 0; row < product->rows; row += BLOCK_ROWS) {
    bfloat16_product x = *product;
    x.rows = least(x.rows - row, BLOCK_ROWS);
    x.c += row * x.c_row;
    for (ptrdiff_t done = 0; done < product->depth; done += DEPTH) {
      x.a = product->a + row * x.a_row + done * x.a_column;
      x.b = product->b + done * x.b_row;
      x.depth = least(product->depth - done, DEPTH);
      multiply_block(&x, (panels *)scratch);
      x.beta = 1;
      x.bias = NULL;
    }
  }
}
#else
int bfloat16_is_supported(void) { return 0; }
void bfloat16_multiply(const bfloat16_product *product, float *scratch) { (void)product, (void)scratch; }
#endif
