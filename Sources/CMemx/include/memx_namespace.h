// SPDX-License-Identifier: Apache-2.0
// Network namespaces of the calling thread: setns() and unshare() are hidden from Swift.
#pragma once

/// Moves the calling thread into a new network namespace, with nothing in it but a loopback device that is down. A
/// descriptor of it, close-on-exec; or -1 with errno set.
int memx_network_new(void);

/// Moves the calling thread into the network namespace of a descriptor. 0, or -1 with errno set.
int memx_network_enter(int fd);
