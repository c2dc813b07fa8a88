// SPDX-License-Identifier: Apache-2.0
// XXH64 from libxxhash (Debian: libxxhash-dev), inlined.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/// The XXH64 of `length` bytes at `bytes`, which need no alignment.
static inline uint64_t memx_xxh64(const void *bytes, size_t length, uint64_t seed) {
  return XXH64(bytes, length, seed);
}
