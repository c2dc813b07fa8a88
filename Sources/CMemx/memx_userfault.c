// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "memx_userfault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Since Linux 6.6, after the headers of Debian 12.
struct poison {
  struct uffdio_range range;
  uint64_t mode;
  int64_t updated;
};
#define POISON _IOWR(UFFDIO, 0x08, struct poison)

static int call(int fd, unsigned long request, void *argument) {
  return ioctl(fd, request, argument) == 0 ? 0 : errno;
}

int memx_uffd_open(enum memx_uffd_way way) {
  int flags = O_CLOEXEC | O_NONBLOCK;
  int fd;
  if (way == MEMX_UFFD_DEVICE) {
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device < 0) return -errno;
    fd = ioctl(device, USERFAULTFD_IOC_NEW, flags);
    int code = errno;
    close(device);
    errno = code;
  } else {
    if (way == MEMX_UFFD_USER_ONLY) flags |= UFFD_USER_MODE_ONLY;
    fd = (int)syscall(SYS_userfaultfd, flags);
  }
  return fd < 0 ? -errno : fd;
}

int memx_uffd_agree(int fd, enum memx_uffd_way way, uint64_t wanted, uint64_t *granted) {
  int other = memx_uffd_open(way);
  if (other < 0) return -other;
  struct uffdio_api api = {.api = UFFD_API};
  int code = call(other, UFFDIO_API, &api);
  close(other);
  if (code) return code;
  *granted = wanted & api.features;
  api = (struct uffdio_api){.api = UFFD_API, .features = *granted};
  return call(fd, UFFDIO_API, &api);
}

int memx_uffd_register(int fd, uint64_t address, uint64_t length) {
  struct uffdio_register asked = {
      .range = {.start = address, .len = length},
      .mode = UFFDIO_REGISTER_MODE_MISSING,
  };
  return call(fd, UFFDIO_REGISTER, &asked);
}

int memx_uffd_unregister(int fd, uint64_t address, uint64_t length) {
  struct uffdio_range range = {.start = address, .len = length};
  return call(fd, UFFDIO_UNREGISTER, &range);
}

int memx_uffd_read(int fd, struct uffd_msg *events, unsigned room) {
  ssize_t count = read(fd, events, room * sizeof *events);
  if (count >= 0) return (int)((size_t)count / sizeof *events);
  return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

// The kernel leaves `done` alone when it gives up early, and puts a negative errno value there when
// it comes to the first page.
int memx_uffd_copy(int fd, uint64_t to, const void *from, uint64_t length, int64_t *done) {
  struct uffdio_copy copy = {.dst = to, .src = (uintptr_t)from, .len = length};
  int code = call(fd, UFFDIO_COPY, &copy);
  *done = copy.copy > 0 ? copy.copy : 0;
  return code;
}

int memx_uffd_zero(int fd, uint64_t to, uint64_t length, int64_t *done) {
  struct uffdio_zeropage zero = {.range = {.start = to, .len = length}};
  int code = call(fd, UFFDIO_ZEROPAGE, &zero);
  *done = zero.zeropage > 0 ? zero.zeropage : 0;
  return code;
}

int memx_uffd_poison(int fd, uint64_t to, uint64_t length, int64_t *done) {
  struct poison poison = {.range = {.start = to, .len = length}};
  int code = call(fd, POISON, &poison);
  *done = poison.updated > 0 ? poison.updated : 0;
  return code;
}

int memx_uffd_wake(int fd, uint64_t address, uint64_t length) {
  struct uffdio_range range = {.start = address, .len = length};
  return call(fd, UFFDIO_WAKE, &range);
}

int memx_uffd_is(int fd) {
  char link[64], target[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 0) return -errno;
  target[length] = 0;
  return strcmp(target, "anon_inode:[userfaultfd]") == 0;
}

int memx_empty_file(void) {
  int fd = memfd_create("memx-poison", MFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}
