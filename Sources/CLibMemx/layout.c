// SPDX-License-Identifier: Apache-2.0
// Programs are built against one version of memx.h and linked with another: what is published stays where it is.
#include "memx.h"

#define AT(structure, member, offset) \
  _Static_assert(offsetof(struct structure, member) == (offset), #structure "." #member)
#define SIZE(structure, size) _Static_assert(sizeof(struct structure) == (size), #structure)

SIZE(memx_extent, 16);
SIZE(memx_mapping, 24);

AT(memx_options, size, 0);
AT(memx_options, link, 8);
AT(memx_options, region, 16);
AT(memx_options, token, 24);
AT(memx_options, server, 32);
AT(memx_options, strategy, 40);
AT(memx_options, order, 48);
AT(memx_options, order_count, 56);
AT(memx_options, rate_bytes_s, 64);
AT(memx_options, mtu, 72);
AT(memx_options, queue_depth, 76);
AT(memx_options, attach_timeout_ms, 80);
AT(memx_options, give_up_ms, 84);
AT(memx_options, busy_poll_us, 88);
AT(memx_options, flags, 92);
SIZE(memx_options, 96);

AT(memx_stats, phase, 0);
AT(memx_stats, sessions, 4);
AT(memx_stats, slots, 8);
AT(memx_stats, network_faults, 48);
AT(memx_stats, lost, 72);
AT(memx_stats, blocked_ns, 88);
AT(memx_stats, cpu_us, 128);
SIZE(memx_stats, 136);
