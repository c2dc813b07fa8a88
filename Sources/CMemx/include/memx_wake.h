// SPDX-License-Identifier: Apache-2.0
// An eventfd that ends another thread's poll(); Swift's Glibc module has none.
#pragma once
#include <sys/eventfd.h>

/// The descriptor, or -1.
static inline int memx_wake_open(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

static inline void memx_wake(int fd) { (void)eventfd_write(fd, 1); }

/// Has the next poll() wait again.
static inline void memx_wake_take(int fd) {
  eventfd_t count;
  (void)eventfd_read(fd, &count);
}
