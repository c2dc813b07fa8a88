// SPDX-License-Identifier: Apache-2.0
// swapon(2) and swapoff(2), which Swift's Glibc module leaves out, and their flags.
#pragma once
#include <stdint.h>
#include <sys/swap.h>

static inline int memx_swapon(const char *path, int flags) { return swapon(path, flags); }
static inline int memx_swapoff(const char *path) { return swapoff(path); }
