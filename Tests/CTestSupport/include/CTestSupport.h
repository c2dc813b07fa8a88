// SPDX-License-Identifier: Apache-2.0
// What the tests need of the system that Swift's Glibc module has not.
#pragma once
#include <stdint.h>

/// Has the calling thread enter a network namespace, by its descriptor. 0 or an errno value.
int test_enter_network_namespace(int fd);

/// Has a file descriptor of a new AF_PACKET socket that sends on an interface, or a negative errno value.
int test_packet_socket(const char *interface);

/// Counts the calls of malloc and its kin that one thread makes from now on; 0 for none.
void test_watch_allocations(int thread_id);

/// The calls counted since then.
uint64_t test_allocations(void);

/// Takes memory and gives it back, which no compiler leaves out.
void test_allocate(uint64_t size);

/// The calling thread's id.
int test_thread_id(void);
