// SPDX-License-Identifier: Apache-2.0
// malloc and its kin, of this program and of every library in it, with a count of one thread's calls.
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "CTestSupport.h"

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static atomic_int watched;
static atomic_ullong calls;
static __thread int self;

int test_thread_id(void) { return gettid(); }

static void count(void) {
  int thread_id = atomic_load_explicit(&watched, memory_order_relaxed);
  if (thread_id == 0) return;
  if (self == 0) self = gettid();
  if (self == thread_id) atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
  count();
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  count();
  *memory = __libc_memalign(alignment, size);
  return *memory || !size ? 0 : ENOMEM;
}

void test_allocate(uint64_t size) {
  void *volatile memory = malloc(size);
  free(memory);
}

void test_watch_allocations(int thread_id) {
  atomic_store(&watched, 0);
  atomic_store(&calls, 0);
  atomic_store(&watched, thread_id);
}

uint64_t test_allocations(void) { return atomic_load(&calls); }
