#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "processor.h"

int processor_vector_level(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

int processor_count(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

float *processor_scratch(void) {
  static _Thread_local _Alignas(64) float scratch[PROCESSOR_SCRATCH];
  return scratch;
}

static _Thread_local int spare_threads = 1;

int processor_spare_threads(void) { return spare_threads; }

void processor_set_spare_threads(int count) { spare_threads = count; }

void processor_trim_memory(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}
