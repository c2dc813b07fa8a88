// SPDX-License-Identifier: Apache-2.0
// Memory advice, and what a file's memory is made of, which Swift's Glibc module leaves out.
#pragma once
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/vfs.h>

enum {
  MEMX_MADV_DONTNEED = MADV_DONTNEED,
  MEMX_MADV_REMOVE = 9,    // MADV_REMOVE
  MEMX_MADV_HUGEPAGE = 14, // MADV_HUGEPAGE
};

/// Whether an open file lies on hugetlbfs.
static inline bool memx_is_hugetlbfs(int fd) {
  struct statfs fs;
  return fstatfs(fd, &fs) == 0 && fs.f_type == 0x958458f6; // HUGETLBFS_MAGIC
}
