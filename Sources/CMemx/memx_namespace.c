// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "memx_namespace.h"

#include <fcntl.h>
#include <sched.h>

int memx_network_new(void) {
  if (unshare(CLONE_NEWNET) < 0) return -1;
  return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int memx_network_enter(int fd) { return setns(fd, CLONE_NEWNET); }
