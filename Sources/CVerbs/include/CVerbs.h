// SPDX-License-Identifier: Apache-2.0
// RDMA verbs and rdma_cm as one thread of memx uses them.
//
// The libraries are opened when they are first needed, so a machine without them runs everything else; where even
// their headers are missing, everything here says so and nothing else changes. No type of theirs appears
// below, since half of their interface is inline functions and macros that Swift cannot import.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// One device as one thread uses it: protection domain, completion queue, shared receive queue, event channels.
struct memx_verbs;

/// One reliable connection.
struct memx_verbs_connection;

/// Memory that the device may reach.
struct memx_verbs_memory;

/// A part of such memory that the other end of one connection may reach (a memory window of type 2).
struct memx_verbs_window;

/// Why something could not be done.
struct memx_verbs_failure {
  int code;  // an errno value
  const char *step;
};

/// How much of everything there is to be.
struct memx_verbs_limits {
  uint32_t receives;      // buffers in the shared receive queue
  uint32_t sends;         // operations under way on all connections together
  uint32_t connection_sends;  // operations under way on the connection that memx_verbs_connect makes
  uint32_t private_bytes;  // of `private_data`
  const void *private_data;  // for the other end, when a connection is asked for; see memx_verbs_connect
};

/// How many RDMA reads may be under way on a connection, as one end sees it.
struct memx_verbs_reads {
  uint8_t answered;  // by this end: `responder_resources` of rdma_cm
  uint8_t asked;     // by this end: `initiator_depth`
};

/// What an end that can do `own` agrees to, when rdma_cm's event tells it of `offered`. The event is written for the
/// end that gets it: what the other end wants to ask is what this one is to answer (rdma_get_cm_event(3)).
struct memx_verbs_reads memx_verbs_agree(struct memx_verbs_reads own,
                                         struct memx_verbs_reads offered);

/// What a device allows, as far as it matters here.
struct memx_verbs_abilities {
  uint32_t receives;  // in a shared receive queue
  uint32_t sends;     // in a connection
  uint32_t completions;  // in a completion queue
  uint32_t reads;     // RDMA reads under way in a connection
  bool windows;       // memory windows of type 2
};

/// One finished operation.
struct memx_verbs_completion {
  uint64_t id;          // as it was posted
  uint32_t status;      // 0, or an enum ibv_wc_status: memx_verbs_status_text
  uint32_t bytes;       // received
  uint32_t connection;  // memx_verbs_number of it
  bool is_written;      // received: the bytes are where the other end has written them, and not in the receive
  uint32_t immediate;   // of such
};

enum memx_verbs_event_kind {
  MEMX_VERBS_NOTHING,
  MEMX_VERBS_REQUEST,      // somebody wants to connect
  MEMX_VERBS_ESTABLISHED,
  MEMX_VERBS_ENDED,        // disconnected, or never established
  MEMX_VERBS_REMOVED,      // the device, or its address, is gone
};

enum { MEMX_VERBS_PRIVATE_BYTES = 56, MEMX_VERBS_ADDRESS_BYTES = 64 };

/// Something that happened to a connection.
struct memx_verbs_event {
  uint32_t kind;  // enum memx_verbs_event_kind
  struct memx_verbs_connection *connection;
  uint32_t private_bytes;
  uint8_t private_data[MEMX_VERBS_PRIVATE_BYTES];
};

/// Opens the libraries. NULL when they are there, else one line on what to install.
const char *memx_verbs_missing(void);

/// Waits for connections at an address of an RDMA device, or at the first usable address of the device named.
/// NULL when that cannot be; `*failure` then says why.
struct memx_verbs *memx_verbs_listen(const char *host, uint16_t port,
                                     const struct memx_verbs_limits *limits,
                                     struct memx_verbs_failure *failure);

/// Connects, waiting up to `timeout_ms` for each step. `limits->private_data` goes to the other end; its answer is left
/// in `*answer`, also when it refuses (then NULL is returned, and `failure->code` is ECONNREFUSED).
struct memx_verbs *memx_verbs_connect(const char *host, uint16_t port,
                                      const struct memx_verbs_limits *limits, int timeout_ms,
                                      struct memx_verbs_event *answer,
                                      struct memx_verbs_failure *failure);

/// Ends every connection that is left, and everything else; memory and windows must be gone by then.
void memx_verbs_close(struct memx_verbs *verbs);

/// The address it listens at, or connects from, as text.
void memx_verbs_local_address(const struct memx_verbs *verbs, char text[MEMX_VERBS_ADDRESS_BYTES]);
const char *memx_verbs_device_name(const struct memx_verbs *verbs);
void memx_verbs_abilities(const struct memx_verbs *verbs, struct memx_verbs_abilities *abilities);

/// Is the device's port up? 1, 0, or a negative errno value when the device is gone.
int memx_verbs_port_up(const struct memx_verbs *verbs);

// Connections. What each belongs to is the caller's: `memx_verbs_set_owner`.

/// The next thing that happened, without waiting. Each MEMX_VERBS_REQUEST has to be accepted or refused.
struct memx_verbs_event memx_verbs_next_event(struct memx_verbs *verbs);

/// 0 or an errno value; after a failure the connection is gone.
int memx_verbs_accept(struct memx_verbs *verbs, struct memx_verbs_connection *connection,
                      uint32_t sends, const void *private_data, uint8_t private_bytes);
void memx_verbs_refuse(struct memx_verbs_connection *connection, const void *private_data,
                       uint8_t private_bytes);

/// Starts ending it: what is under way completes, with an error where it has not been done.
void memx_verbs_disconnect(struct memx_verbs_connection *connection);

/// The same of this end alone; the other is not told before `memx_verbs_destroy`.
///
/// To tell it while the device's port is down would leave soft-RoCE deaf: a packet without a route makes it give up the
/// queue pair that sends it, and here that is the one by which connections of the whole device are made.
void memx_verbs_stop(struct memx_verbs_connection *connection);

/// Frees it. Its completions must have been taken, or their ids be ignored from now on.
void memx_verbs_destroy(struct memx_verbs_connection *connection);

uint32_t memx_verbs_number(const struct memx_verbs_connection *connection);
void memx_verbs_set_owner(struct memx_verbs_connection *connection, uint32_t owner);
uint32_t memx_verbs_owner(const struct memx_verbs_connection *connection);

/// The other end's address as text, without its port.
void memx_verbs_peer_address(const struct memx_verbs_connection *connection,
                             char text[MEMX_VERBS_ADDRESS_BYTES]);

/// The connection that memx_verbs_connect has made.
struct memx_verbs_connection *memx_verbs_connected(const struct memx_verbs *verbs);

// Memory.

enum {
  MEMX_VERBS_REMOTE_READ = 1,
  MEMX_VERBS_REMOTE_WRITE = 2,
  MEMX_VERBS_WINDOWS = 4,  // remote access only through windows
};

/// Registers memory, which is locked from then on; NULL and errno when that cannot be.
struct memx_verbs_memory *memx_verbs_register(struct memx_verbs *verbs, void *base, size_t bytes,
                                              unsigned access);
void memx_verbs_deregister(struct memx_verbs_memory *memory);
uint32_t memx_verbs_local_key(const struct memx_verbs_memory *memory);
uint32_t memx_verbs_remote_key(const struct memx_verbs_memory *memory);

/// Opens a window for the other end of a connection, in order before whatever is posted there next.
/// NULL and errno when that cannot be.
struct memx_verbs_window *memx_verbs_open_window(struct memx_verbs *verbs,
                                                 struct memx_verbs_connection *connection,
                                                 const struct memx_verbs_memory *memory, void *base,
                                                 size_t bytes, unsigned access, uint64_t id);
uint32_t memx_verbs_window_key(const struct memx_verbs_window *window);

/// From its return on the device refuses the window's key. 0 or an errno value.
int memx_verbs_close_window(struct memx_verbs_window *window);

// Posting and completions. Operations are gathered and handed to the device together; each completes.

/// Gives a buffer to the shared receive queue. 0 or an errno value.
int memx_verbs_post_receive(struct memx_verbs *verbs, uint64_t id, void *buffer, uint32_t bytes,
                            uint32_t local_key);

/// Gathers a message to send.
void memx_verbs_send(struct memx_verbs_connection *connection, uint64_t id, const void *buffer,
                     uint32_t bytes, uint32_t local_key);

/// Gathers a read of the other end's memory.
void memx_verbs_read(struct memx_verbs_connection *connection, uint64_t id, void *buffer,
                     uint32_t bytes, uint32_t local_key, uint64_t remote, uint32_t remote_key);

/// Gathers a write to the other end's memory, which does not notice.
void memx_verbs_write(struct memx_verbs_connection *connection, uint64_t id, const void *buffer,
                      uint32_t bytes, uint32_t local_key, uint64_t remote, uint32_t remote_key);

/// Gathers a write to the other end's memory which it notices: a receive of its own completes, with `immediate`.
void memx_verbs_write_immediate(struct memx_verbs_connection *connection, uint64_t id,
                                const void *buffer, uint32_t bytes, uint32_t local_key,
                                uint64_t remote, uint32_t remote_key, uint32_t immediate);

/// Hands over what was gathered. 0, or an errno value: the connection is of no use then, and of what was gathered
/// some will not complete.
int memx_verbs_post(struct memx_verbs_connection *connection);

/// Takes up to `count` completions of receives, without waiting. How many, or a negative number.
int memx_verbs_poll_receives(struct memx_verbs *verbs, struct memx_verbs_completion *completions,
                             int count);

/// The same of everything that was posted to a connection.
int memx_verbs_poll_sends(struct memx_verbs *verbs, struct memx_verbs_completion *completions,
                          int count);

/// Has the descriptor of memx_verbs_completion_fd become readable at the next completion; one that has come before
/// does not count, so poll once more after this.
///
/// `with_sends`: also when something that was posted to a connection completes.
void memx_verbs_arm(struct memx_verbs *verbs, bool with_sends);

/// Takes what made that descriptor readable.
void memx_verbs_disarm(struct memx_verbs *verbs);

int memx_verbs_completion_fd(const struct memx_verbs *verbs);
int memx_verbs_event_fd(const struct memx_verbs *verbs);

/// What a completion's status means.
const char *memx_verbs_status_text(uint32_t status);

/// Was a completion refused by the other end's device: a key that is not or no longer valid, or bounds?
bool memx_verbs_is_access_error(uint32_t status);
