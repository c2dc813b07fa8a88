// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "memx_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int memx_pipe_cloexec(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int memx_pipe_resize(int pipe, int bytes) { return fcntl(pipe, F_SETPIPE_SZ, bytes); }

int memx_end_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL); }
