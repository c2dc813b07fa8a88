// SPDX-License-Identifier: Apache-2.0
// Where the libraries' headers are missing nothing opens, so whatever takes a device or a connection is never
// called; but Swift links against it. Without CVerbs.h: these have no arguments to name.
#include <stdlib.h>

#include "have.h"

#ifndef MEMX_HAVE_VERBS

#define MEMX_UNREACHABLE(name) \
  void name(void); \
  void name(void) { abort(); }

MEMX_UNREACHABLE(memx_verbs_abilities)
MEMX_UNREACHABLE(memx_verbs_accept)
MEMX_UNREACHABLE(memx_verbs_arm)
MEMX_UNREACHABLE(memx_verbs_close)
MEMX_UNREACHABLE(memx_verbs_close_window)
MEMX_UNREACHABLE(memx_verbs_completion_fd)
MEMX_UNREACHABLE(memx_verbs_connected)
MEMX_UNREACHABLE(memx_verbs_deregister)
MEMX_UNREACHABLE(memx_verbs_destroy)
MEMX_UNREACHABLE(memx_verbs_device_name)
MEMX_UNREACHABLE(memx_verbs_disarm)
MEMX_UNREACHABLE(memx_verbs_disconnect)
MEMX_UNREACHABLE(memx_verbs_event_fd)
MEMX_UNREACHABLE(memx_verbs_is_access_error)
MEMX_UNREACHABLE(memx_verbs_local_address)
MEMX_UNREACHABLE(memx_verbs_local_key)
MEMX_UNREACHABLE(memx_verbs_next_event)
MEMX_UNREACHABLE(memx_verbs_number)
MEMX_UNREACHABLE(memx_verbs_open_window)
MEMX_UNREACHABLE(memx_verbs_owner)
MEMX_UNREACHABLE(memx_verbs_peer_address)
MEMX_UNREACHABLE(memx_verbs_poll_receives)
MEMX_UNREACHABLE(memx_verbs_poll_sends)
MEMX_UNREACHABLE(memx_verbs_port_up)
MEMX_UNREACHABLE(memx_verbs_post)
MEMX_UNREACHABLE(memx_verbs_post_receive)
MEMX_UNREACHABLE(memx_verbs_read)
MEMX_UNREACHABLE(memx_verbs_refuse)
MEMX_UNREACHABLE(memx_verbs_register)
MEMX_UNREACHABLE(memx_verbs_remote_key)
MEMX_UNREACHABLE(memx_verbs_send)
MEMX_UNREACHABLE(memx_verbs_set_owner)
MEMX_UNREACHABLE(memx_verbs_status_text)
MEMX_UNREACHABLE(memx_verbs_stop)
MEMX_UNREACHABLE(memx_verbs_window_key)
MEMX_UNREACHABLE(memx_verbs_write)
MEMX_UNREACHABLE(memx_verbs_write_immediate)

#endif
