// SPDX-License-Identifier: Apache-2.0
// Records in which order the pages of a mapping are touched first, exactly, for any number of threads.
//
// The mapping is a shared one of a memfd whose pages are in the page cache, registered with userfaultfd
// for minor faults: dropping its page table entries keeps the bytes, and each first touch after that
// raises SIGBUS (UFFD_FEATURE_SIGBUS), whose handler notes the page and maps it. mprotect() and SIGSEGV
// would do the same for small memory only: a mapping of every other page protected is split into as many
// areas as it has pages, of which vm.max_map_count allows 65530.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// A recorder, and the mapping it watches.
struct memx_touches;

/// Maps `pages` pages of zeros that nothing watches yet. NULL with errno set, `*step` then says what
/// failed: ENOSPC when the process has all the recorders it can have (64).
struct memx_touches *memx_touches_open(size_t pages, const char **step);

void memx_touches_close(struct memx_touches *touches);

/// The first byte of the mapping.
void *memx_touches_base(const struct memx_touches *touches);

/// Forgets what was touched, and notes each page's first touch from now on. No thread may be touching the
/// mapping meanwhile. 0, or an errno value.
int memx_touches_arm(struct memx_touches *touches);

/// How many pages were touched since the last memx_touches_arm().
size_t memx_touches_count(const struct memx_touches *touches);

/// Those pages, in the order of their first touches.
const uint32_t *memx_touches_pages(const struct memx_touches *touches);
