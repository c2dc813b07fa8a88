// SPDX-License-Identifier: Apache-2.0
// Where the libraries' headers are missing nothing opens.
#include <errno.h>
#include <string.h>

#include "verbs.h"

#ifndef MEMX_HAVE_VERBS

static struct memx_verbs *refuse(struct memx_verbs_failure *failure) {
  *failure = (struct memx_verbs_failure){.code = ENOSYS, .step = "use RDMA"};
  return NULL;
}

struct memx_verbs *memx_verbs_listen(const char *host, uint16_t port,
                                     const struct memx_verbs_limits *limits,
                                     struct memx_verbs_failure *failure) {
  (void)host, (void)port, (void)limits;
  return refuse(failure);
}

struct memx_verbs *memx_verbs_connect(const char *host, uint16_t port,
                                      const struct memx_verbs_limits *limits, int timeout_ms,
                                      struct memx_verbs_event *answer,
                                      struct memx_verbs_failure *failure) {
  (void)host, (void)port, (void)limits, (void)timeout_ms;
  memset(answer, 0, sizeof *answer);
  return refuse(failure);
}

#endif
