// SPDX-License-Identifier: Apache-2.0
// userfaultfd(2): its ioctl numbers are macros and its messages unions, which Swift does not import.
//
// Calls give 0 or a positive errno value unless they say otherwise. Addresses are of the process that
// owns the memory, which need not be this one, so they are numbers.
#pragma once
#include <stdint.h>
#include <linux/userfaultfd.h>

// Since Linux 6.6, after the headers of Debian 12.
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
#endif

enum {
  MEMX_UFFD_EVENT_FAULT = UFFD_EVENT_PAGEFAULT,
  MEMX_UFFD_EVENT_FORK = UFFD_EVENT_FORK,
  MEMX_UFFD_EVENT_REMAP = UFFD_EVENT_REMAP,
  MEMX_UFFD_EVENT_REMOVE = UFFD_EVENT_REMOVE,
  MEMX_UFFD_EVENT_UNMAP = UFFD_EVENT_UNMAP,
  MEMX_UFFD_THREAD_ID = UFFD_FEATURE_THREAD_ID,
  MEMX_UFFD_MISSING_SHMEM = UFFD_FEATURE_MISSING_SHMEM,
  MEMX_UFFD_POISON = UFFD_FEATURE_POISON,
};

/// What a descriptor was had by, in the order in which they are tried.
enum memx_uffd_way {
  MEMX_UFFD_CALL,       // userfaultfd(2), all faults
  MEMX_UFFD_DEVICE,     // /dev/userfaultfd, all faults
  MEMX_UFFD_USER_ONLY,  // userfaultfd(2) with UFFD_USER_MODE_ONLY: none that the kernel itself takes
};

/// Opens one way, close-on-exec and non-blocking. The descriptor, or a negative errno value.
int memx_uffd_open(enum memx_uffd_way way);

/// Agrees on the features of `wanted` that the kernel offers. A descriptor can do so once, so what
/// the kernel offers is asked of another one, opened the same way.
int memx_uffd_agree(int fd, enum memx_uffd_way way, uint64_t wanted, uint64_t *granted);

/// Asks for the faults of pages that are missing in a range.
int memx_uffd_register(int fd, uint64_t address, uint64_t length);
int memx_uffd_unregister(int fd, uint64_t address, uint64_t length);

/// Reads events, up to `room`: how many, 0 for none, or a negative errno value.
int memx_uffd_read(int fd, struct uffd_msg *events, unsigned room);

/// Copies pages to where none are, and wakes who waits for them. `*done` is how many bytes were copied
/// before the one that could not be: 0 and `*done == length`, or an errno value, EAGAIN also for a
/// copy cut short.
int memx_uffd_copy(int fd, uint64_t to, const void *from, uint64_t length, int64_t *done);

/// The same with zeros.
int memx_uffd_zero(int fd, uint64_t to, uint64_t length, int64_t *done);

/// The same with poison: an access gets SIGBUS. EINVAL where the kernel has none (before Linux 6.6).
int memx_uffd_poison(int fd, uint64_t to, uint64_t length, int64_t *done);

/// Lets who waits in a range try again.
int memx_uffd_wake(int fd, uint64_t address, uint64_t length);

/// Is the descriptor one of userfaultfd? 1, 0, or a negative errno value.
int memx_uffd_is(int fd);

/// Opens a new file of no bytes that has no name. The descriptor, or a negative errno value.
int memx_empty_file(void);

static inline uint8_t memx_uffd_event(const struct uffd_msg *message) { return message->event; }
static inline uint64_t memx_uffd_fault_address(const struct uffd_msg *message) {
  return message->arg.pagefault.address;
}
static inline uint32_t memx_uffd_fault_thread(const struct uffd_msg *message) {
  return message->arg.pagefault.feat.ptid;
}
static inline int memx_uffd_fault_is_write(const struct uffd_msg *message) {
  return (message->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
}
/// Where what was removed or unmapped begins, and where it ends.
static inline uint64_t memx_uffd_removed_start(const struct uffd_msg *message) {
  return message->arg.remove.start;
}
static inline uint64_t memx_uffd_removed_end(const struct uffd_msg *message) {
  return message->arg.remove.end;
}
/// The descriptor of a forked child's memory, which is the reader's to close.
static inline int memx_uffd_forked(const struct uffd_msg *message) {
  return (int)message->arg.fork.ufd;
}
