// SPDX-License-Identifier: Apache-2.0
// Accesses to memory that the compiler must make, where and when they are written.
#pragma once
#include <stdint.h>
#include <sys/resource.h>

/// Loads the 64-bit word at `word`; waits for its page if that is swapped out.
static inline uint64_t memx_touch_load(const void *word) {
  return *(const volatile uint64_t *)word;
}

/// Stores `value` into the 64-bit word at `word`; waits for its page if that is swapped out.
static inline void memx_touch_store(void *word, uint64_t value) {
  *(volatile uint64_t *)word = value;
}

/// How many major faults the calling thread has had. RUSAGE_THREAD is Linux's own and hidden
/// from Swift; its number is part of the kernel's ABI.
static inline int64_t memx_thread_major_faults(void) {
  struct rusage usage;
  return getrusage(1 /* RUSAGE_THREAD */, &usage) == 0 ? usage.ru_majflt : 0;
}
