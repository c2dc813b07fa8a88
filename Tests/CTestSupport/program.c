// SPDX-License-Identifier: Apache-2.0
// A program whose memory another process serves. It has nothing of memx, so that the two ends of a
// hand-over are checked against each other.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CTestSupport.h"

enum { PAGE = 4096, NOBODY = 65534 };

int test_drop_privileges(void) {
  // The system calls themselves act on one thread; glibc's functions on all.
  if (syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY)) return errno;
  return syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) ? errno : 0;
}

static int hand_over(int socket, int fd, const void *memory, uint64_t bytes) {
  char text[512];
  int length = snprintf(text, sizeof text,
                        "[{\"base_host_virt_addr\":%llu,\"size\":%llu,\"offset\":0,"
                        "\"page_size\":4096,\"page_size_kib\":4096}]",
                        (unsigned long long)(uintptr_t)memory, (unsigned long long)bytes);
  struct iovec vector = {.iov_base = text, .iov_len = (size_t)length};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control.space};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == length ? 0 : -1;
}

static int holds(const volatile uint64_t *memory, uint64_t page, uint64_t value) {
  for (unsigned word = 0; word < PAGE / 8; word++)
    if (memory[page * (PAGE / 8) + word] != value) return 0;
  return 1;
}

static int run(int socket, uint64_t pages, enum test_program what) {
  // Swift's handler would have the program's memory read, which may wait for a page for ever.
  signal(SIGBUS, SIG_DFL);
  uint64_t bytes = pages * PAGE;
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE};
  struct uffdio_register range = {.range = {.start = (uintptr_t)memory, .len = bytes},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (memory == MAP_FAILED || fd < 0 || ioctl(fd, UFFDIO_API, &api) ||
      ioctl(fd, UFFDIO_REGISTER, &range) || hand_over(socket, fd, memory, bytes))
    return 2;
  close(fd);
  switch (what) {
    case TEST_PROGRAM_VERIFY:
      for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = i % 2 ? pages - 1 - i / 2 : i / 2;
        if (!holds(memory, page, page + 1)) return 1;
      }
      return 0;
    case TEST_PROGRAM_DISCARD:
      if (!holds(memory, 0, 1)) return 1;
      if (madvise((char *)memory + bytes / 2, bytes / 2, MADV_DONTNEED)) return 2;
      for (uint64_t page = 0; page < pages; page++)
        if (!holds(memory, page, page < pages / 2 ? page + 1 : 0)) return 1;
      return 0;
    case TEST_PROGRAM_STAY:
      for (;;) pause();
  }
  return 2;
}

int test_start_program(int socket, uint64_t pages, enum test_program what) {
  pid_t child = fork();
  if (child == 0) _exit(run(socket, pages, what));
  return child < 0 ? -errno : child;
}
