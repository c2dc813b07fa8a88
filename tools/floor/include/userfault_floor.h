// SPDX-License-Identifier: Apache-2.0
// The floor under memx-bench userfault: what plain C over userfaultfd takes, with nothing else to do.
#pragma once
#include <stdint.h>

/// Until something can be read from `stop`, waits in poll() for a fault of the range at `base`, reads it and
/// copies the page at the same place of `source`. 0 or an errno value.
int floor_serve(int fd, int stop, uint64_t base, const void *source);

/// Copies `pages` pages to `base`, `run` pages a call, from a buffer of `buffer_pages` (a multiple of
/// `run`) again and again. 0 or an errno value.
int floor_fill(int fd, uint64_t base, uint64_t pages, const void *buffer, uint64_t buffer_pages,
               uint64_t run);
