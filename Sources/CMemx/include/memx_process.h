// SPDX-License-Identifier: Apache-2.0
// Calls about processes that Swift's Glibc module leaves out.
#pragma once
#include <sys/types.h>

/// Makes a pipe whose ends, for reading and for writing, programs do not inherit: one that another
/// thread starts at the same moment must not hold the pipe open. 0, or -1 with errno set.
int memx_pipe_cloexec(int ends[2]);

/// Has a pipe hold so many bytes. Its size, or -1 with errno set.
int memx_pipe_resize(int pipe, int bytes);

/// Has the kernel kill this process when its parent ends. 0, or -1 with errno set.
int memx_end_with_parent(void);
