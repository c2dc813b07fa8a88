// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "memx_touches.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

enum { PAGE_BYTES = 4096, RECORDERS_MAX = 64 };

struct memx_touches {
  char *base;
  size_t pages;
  uint32_t *order;
  _Atomic size_t count;
  int memory; // the memfd
  int uffd;
};

// What the signal handler finds a page's recorder by; a free place is NULL.
static struct memx_touches *_Atomic recorders[RECORDERS_MAX];
static struct sigaction before;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static void pass_on(int signal, siginfo_t *info, void *context) {
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    // The access is made again and now ends the process, as it would have without a recorder.
    sigaction(SIGBUS, &before, NULL);
  }
}

static void on_bus_error(int signal, siginfo_t *info, void *context) {
  int saved = errno;
  uintptr_t address = (uintptr_t)info->si_addr;
  for (size_t i = 0; i < RECORDERS_MAX; i++) {
    struct memx_touches *touches = atomic_load(&recorders[i]);
    if (!touches || address - (uintptr_t)touches->base >= touches->pages * PAGE_BYTES) continue;
    size_t page = (address - (uintptr_t)touches->base) / PAGE_BYTES;
    struct uffdio_continue mapped = {
        .range = {.start = (uintptr_t)touches->base + page * PAGE_BYTES, .len = PAGE_BYTES}};
    if (ioctl(touches->uffd, UFFDIO_CONTINUE, &mapped) == 0) {
      // Of threads that touch the page at once, one alone comes here.
      touches->order[atomic_fetch_add(&touches->count, 1)] = (uint32_t)page;
    } else if (errno != EEXIST && errno != EAGAIN) {
      break;
    }
    errno = saved;
    return;
  }
  errno = saved;
  pass_on(signal, info, context);
}

static void install(void) {
  struct sigaction action = {.sa_sigaction = on_bus_error,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &before);
}

static int open_uffd(void) {
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
  // Kernels before 5.11 have no user-mode-only descriptors.
  if (fd < 0 && errno == EINVAL) fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  return fd;
}

struct memx_touches *memx_touches_open(size_t pages, const char **step) {
  if (pages == 0 || pages > UINT32_MAX) {
    *step = "choosing the number of pages";
    errno = EINVAL;
    return NULL;
  }
  size_t bytes = pages * PAGE_BYTES;
  struct memx_touches *touches = calloc(1, sizeof *touches);
  if (!touches) {
    *step = "allocating memory";
    return NULL;
  }
  touches->pages = pages;
  touches->uffd = touches->memory = -1;
  touches->base = MAP_FAILED;

  *step = "allocating memory";
  touches->order = malloc(pages * sizeof *touches->order);
  if (!touches->order) goto failed;
  *step = "making a memory file";
  touches->memory = memfd_create("memx-touches", MFD_CLOEXEC);
  if (touches->memory < 0) goto failed;
  *step = "allocating the memory file";
  // A page that is not in the page cache yet would be a missing fault, which nothing watches.
  if ((errno = posix_fallocate(touches->memory, 0, (off_t)bytes)) != 0) goto failed;
  *step = "mapping the memory file";
  touches->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, touches->memory, 0);
  if (touches->base == MAP_FAILED) goto failed;
  *step = "opening a userfaultfd";
  touches->uffd = open_uffd();
  if (touches->uffd < 0) goto failed;
  *step = "asking userfaultfd for minor faults on shared memory";
  struct uffdio_api api = {.api = UFFD_API,
                           .features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MINOR_SHMEM};
  if (ioctl(touches->uffd, UFFDIO_API, &api) != 0) goto failed;
  pthread_once(&installed, install);
  *step = "finding a free recorder";
  for (size_t i = 0; i < RECORDERS_MAX; i++) {
    struct memx_touches *none = NULL;
    if (atomic_compare_exchange_strong(&recorders[i], &none, touches)) return touches;
  }
  errno = ENOSPC;

failed:;
  int error = errno;
  memx_touches_close(touches);
  errno = error;
  return NULL;
}

void memx_touches_close(struct memx_touches *touches) {
  for (size_t i = 0; i < RECORDERS_MAX; i++) {
    struct memx_touches *own = touches;
    atomic_compare_exchange_strong(&recorders[i], &own, NULL);
  }
  if (touches->base != MAP_FAILED) munmap(touches->base, touches->pages * PAGE_BYTES);
  if (touches->uffd >= 0) close(touches->uffd);
  if (touches->memory >= 0) close(touches->memory);
  free(touches->order);
  free(touches);
}

void *memx_touches_base(const struct memx_touches *touches) { return touches->base; }

int memx_touches_arm(struct memx_touches *touches) {
  struct uffdio_register watched = {
      .range = {.start = (uintptr_t)touches->base, .len = touches->pages * PAGE_BYTES},
      .mode = UFFDIO_REGISTER_MODE_MINOR};
  // Registering what is registered already changes nothing.
  if (ioctl(touches->uffd, UFFDIO_REGISTER, &watched) != 0) return errno;
  if (madvise(touches->base, touches->pages * PAGE_BYTES, MADV_DONTNEED) != 0) return errno;
  atomic_store(&touches->count, 0);
  return 0;
}

size_t memx_touches_count(const struct memx_touches *touches) {
  return atomic_load(&touches->count);
}

const uint32_t *memx_touches_pages(const struct memx_touches *touches) { return touches->order; }
