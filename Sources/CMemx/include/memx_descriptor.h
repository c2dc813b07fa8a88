// SPDX-License-Identifier: Apache-2.0
// Descriptors over Unix sockets (SCM_RIGHTS), whose control messages are made of macros.
#pragma once
#include <stddef.h>
#include <sys/types.h>

/// Sends `length` bytes, above 0, with a descriptor beside them, or with none for -1. The bytes sent, or a negative errno value.
ssize_t memx_descriptor_send(int socket, const void *bytes, size_t length, int fd);

/// Receives up to `room` bytes and at most one descriptor, close-on-exec, -1 for none. The bytes received,
/// 0 at the end, or a negative errno value: E2BIG for more descriptors than one, which are closed.
ssize_t memx_descriptor_receive(int socket, void *bytes, size_t room, int *fd);

/// Keeps programs that this one starts from inheriting a descriptor, and its reads from waiting.
/// 0 or an errno value.
int memx_descriptor_settle(int fd);
