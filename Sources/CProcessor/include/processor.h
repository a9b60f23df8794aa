#ifndef ELASTIREC_PROCESSOR_H
#define ELASTIREC_PROCESSOR_H

/* What the processor and the system below us can run: 2 = AVX-512 (x86-64-v4), 1 = AVX2 and FMA, 0 = less. */
int processor_vector_level(void);

/* The number of processors that this process may run on. */
int processor_count(void);

/* This thread's memory for the panel of a matrix product, PROCESSOR_SCRATCH floats. */
#define PROCESSOR_SCRATCH 8448
float *processor_scratch(void);

/* How many threads the work under way on this thread may use; 1 at first. */
int processor_spare_threads(void);
void processor_set_spare_threads(int count);

/* Gives the C library's free memory back to the system. */
void processor_trim_memory(void);

/* Tells the processor that this thread waits for another one. */
static inline void processor_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
