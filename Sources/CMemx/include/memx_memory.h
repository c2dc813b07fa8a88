// SPDX-License-Identifier: Apache-2.0
// Memory advice that Swift's Glibc module leaves out.
#pragma once
#include <sys/mman.h>

enum {
  MEMX_MADV_DONTNEED = MADV_DONTNEED,
  MEMX_MADV_REMOVE = 9,    // MADV_REMOVE
  MEMX_MADV_HUGEPAGE = 14, // MADV_HUGEPAGE
};
