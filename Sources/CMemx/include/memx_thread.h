// SPDX-License-Identifier: Apache-2.0
// A thread's name, for top -H and gdb; prctl() is variadic, which hides it from Swift.
#pragma once
#include <sys/prctl.h>

/// Names the calling thread; the system keeps the first 15 bytes.
static inline void memx_thread_name(const char *name) { (void)prctl(PR_SET_NAME, name, 0, 0, 0); }
