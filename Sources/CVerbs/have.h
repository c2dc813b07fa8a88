// SPDX-License-Identifier: Apache-2.0
// Are the libraries' headers here?
#pragma once

// MEMX_WITHOUT_VERBS: as on a machine that lacks them, for AbsentLibrariesTests.
#if __has_include(<infiniband/verbs.h>) && __has_include(<rdma/rdma_cma.h>) && \
    !defined(MEMX_WITHOUT_VERBS)
#define MEMX_HAVE_VERBS 1
#endif
