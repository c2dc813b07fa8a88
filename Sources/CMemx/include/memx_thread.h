// SPDX-License-Identifier: Apache-2.0
// A thread's name and the fineness of its sleeps: prctl() and ppoll() are hidden from Swift, or differ there.
#pragma once
#include <poll.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>

/// Names the calling thread; the system keeps the first 15 bytes.
static inline void memx_thread_name(const char *name) { (void)prctl(PR_SET_NAME, name, 0, 0, 0); }

/// How much later than asked the calling thread may be woken, in nanoseconds; 50,000 unless set.
static inline void memx_timer_slack(unsigned long slack_ns) {
  (void)prctl(PR_SET_TIMERSLACK, slack_ns, 0, 0, 0);
}

int ppoll(struct pollfd *, nfds_t, const struct timespec *, const __sigset_t *);

/// poll() with a timeout in nanoseconds; all ones waits for ever.
static inline int memx_poll(struct pollfd *descriptors, nfds_t count, uint64_t timeout_ns) {
  struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                             .tv_nsec = (long)(timeout_ns % 1000000000)};
  return ppoll(descriptors, count, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
}
