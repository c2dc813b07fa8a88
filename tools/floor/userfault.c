// SPDX-License-Identifier: Apache-2.0
#include "userfault_floor.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PAGE = 4096 };

int floor_serve(int fd, int stop, uint64_t base, const void *source) {
  struct pollfd polled[] = {{.fd = fd, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
  for (;;) {
    if (poll(polled, 2, -1) < 0) return errno;
    if (polled[1].revents) return 0;
    struct uffd_msg fault;
    if (read(fd, &fault, sizeof fault) < 0) {
      if (errno == EAGAIN) continue;
      return errno;
    }
    uint64_t address = fault.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
    struct uffdio_copy copy = {
        .dst = address, .src = (uintptr_t)source + (address - base), .len = PAGE};
    if (ioctl(fd, UFFDIO_COPY, &copy)) return errno;
  }
}

int floor_fill(int fd, uint64_t base, uint64_t pages, const void *buffer, uint64_t buffer_pages,
               uint64_t run) {
  for (uint64_t page = 0; page < pages; page += run) {
    uint64_t count = run < pages - page ? run : pages - page;
    struct uffdio_copy copy = {.dst = base + page * PAGE,
                               .src = (uintptr_t)buffer + page % buffer_pages * PAGE,
                               .len = count * PAGE};
    if (ioctl(fd, UFFDIO_COPY, &copy)) return errno;
  }
  return 0;
}
