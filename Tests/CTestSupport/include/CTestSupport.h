// SPDX-License-Identifier: Apache-2.0
// What the tests need of the system that Swift's Glibc module has not.
#pragma once
#include <stdint.h>

/// Has the calling thread enter a network namespace, by its descriptor. 0 or an errno value.
int test_enter_network_namespace(int fd);

/// Has a file descriptor of a new AF_PACKET socket that sends on an interface, or a negative errno value. If
/// `receives` is not 0 it also gets all frames that come in there.
int test_packet_socket(const char *interface, int receives);

/// Counts the calls of malloc and its kin that one thread makes from now on; 0 for none.
void test_watch_allocations(int thread_id);

/// The calls counted since then.
uint64_t test_allocations(void);

/// Takes memory and gives it back, which no compiler leaves out.
void test_allocate(uint64_t size);

/// The calling thread's id.
int test_thread_id(void);

/// Takes root's rights from the calling thread alone, for good. 0 or an errno value.
int test_drop_privileges(void);

/// What a program started by test_start_program does once its memory is handed over.
enum test_program {
  TEST_PROGRAM_VERIFY,  // reads all pages, from both ends in turn, and ends with 0 if they are right
  TEST_PROGRAM_STAY,    // waits to be killed
  TEST_PROGRAM_DISCARD, // reads page 0, discards the second half, and ends with 0 if that reads as zeros
};

/// Forks a program that maps `pages` pages, hands their userfaultfd to the other end of `socket` as
/// Firecracker does, and goes on as `what` says. Every word of its page n must come to be n + 1. It ends with 1
/// when a page is wrong, with 2 when it cannot begin. Its process id, or a negative errno value.
int test_start_program(int socket, uint64_t pages, enum test_program what);
