// SPDX-License-Identifier: Apache-2.0
// Memory, windows, operations and their completions.
#include "verbs.h"

#ifdef MEMX_HAVE_VERBS
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

// MARK: Memory

struct memx_verbs_memory *memx_verbs_register(struct memx_verbs *verbs, void *base, size_t bytes,
                                              unsigned access) {
  struct memx_verbs_memory *memory = malloc(sizeof *memory);
  if (!memory) return NULL;
  int flags = IBV_ACCESS_LOCAL_WRITE;
  if (access & MEMX_VERBS_REMOTE_READ) flags |= IBV_ACCESS_REMOTE_READ;
  if (access & MEMX_VERBS_REMOTE_WRITE) flags |= IBV_ACCESS_REMOTE_WRITE;
  if (access & MEMX_VERBS_WINDOWS) flags |= IBV_ACCESS_MW_BIND;
  memory->region = memx_api.reg_mr(verbs->domain, base, bytes, flags);
  if (memory->region) return memory;
  int code = errno;
  free(memory);
  errno = code;
  return NULL;
}

void memx_verbs_deregister(struct memx_verbs_memory *memory) {
  memx_api.ibv_dereg_mr(memory->region);
  free(memory);
}

uint32_t memx_verbs_local_key(const struct memx_verbs_memory *memory) { return memory->region->lkey; }
uint32_t memx_verbs_remote_key(const struct memx_verbs_memory *memory) { return memory->region->rkey; }

struct memx_verbs_window *memx_verbs_open_window(struct memx_verbs *verbs,
                                                 struct memx_verbs_connection *connection,
                                                 const struct memx_verbs_memory *memory, void *base,
                                                 size_t bytes, unsigned access, uint64_t id) {
  struct memx_verbs_window *window = malloc(sizeof *window);
  if (!window) return NULL;
  int code = memx_verbs_post(connection);
  window->window = code ? NULL : ibv_alloc_mw(verbs->domain, IBV_MW_TYPE_2);
  if (window->window) {
    // The low byte of a type 2 window's key is the caller's: a new one each time it is bound.
    uint32_t key = ibv_inc_rkey(window->window->rkey);
    unsigned flags = 0;
    if (access & MEMX_VERBS_REMOTE_READ) flags |= IBV_ACCESS_REMOTE_READ;
    if (access & MEMX_VERBS_REMOTE_WRITE) flags |= IBV_ACCESS_REMOTE_WRITE;
    struct ibv_send_wr *bad, bind = {
        .wr_id = id,
        .opcode = IBV_WR_BIND_MW,
        .send_flags = IBV_SEND_SIGNALED,
        .bind_mw = {.mw = window->window,
                    .rkey = key,
                    .bind_info = {.mr = memory->region,
                                  .addr = (uint64_t)(uintptr_t)base,
                                  .length = bytes,
                                  .mw_access_flags = flags}},
    };
    code = ibv_post_send(connection->pair, &bind, &bad);
    if (!code) {
      window->window->rkey = key;
      return window;
    }
    ibv_dealloc_mw(window->window);
  } else if (!code) {
    code = errno;
  }
  free(window);
  errno = code;
  return NULL;
}

uint32_t memx_verbs_window_key(const struct memx_verbs_window *window) { return window->window->rkey; }

int memx_verbs_close_window(struct memx_verbs_window *window) {
  int code = ibv_dealloc_mw(window->window);
  free(window);
  return code;
}

// MARK: Operations

int memx_verbs_post_receive(struct memx_verbs *verbs, uint64_t id, void *buffer, uint32_t bytes,
                            uint32_t local_key) {
  struct ibv_sge piece = {.addr = (uint64_t)(uintptr_t)buffer, .length = bytes, .lkey = local_key};
  struct ibv_recv_wr *bad, request = {.wr_id = id, .sg_list = &piece, .num_sge = 1};
  return ibv_post_srq_recv(verbs->receives, &request, &bad);
}

/// The next operation to be gathered, with its memory set.
static struct ibv_send_wr *gather(struct memx_verbs_connection *connection, uint64_t id,
                                  const void *buffer, uint32_t bytes, uint32_t local_key) {
  // A failure shows again at the next post: the connection is of no use from then on.
  if (connection->gathered == MEMX_GATHERED) (void)memx_verbs_post(connection);
  struct ibv_sge *piece = connection->pieces + connection->gathered;
  struct ibv_send_wr *request = connection->requests + connection->gathered;
  *piece = (struct ibv_sge){
      .addr = (uint64_t)(uintptr_t)buffer, .length = bytes, .lkey = local_key};
  *request = (struct ibv_send_wr){.wr_id = id, .sg_list = piece, .num_sge = 1};
  if (connection->gathered > 0) request[-1].next = request;
  connection->gathered++;
  return request;
}

void memx_verbs_send(struct memx_verbs_connection *connection, uint64_t id, const void *buffer,
                     uint32_t bytes, uint32_t local_key) {
  gather(connection, id, buffer, bytes, local_key)->opcode = IBV_WR_SEND;
}

void memx_verbs_read(struct memx_verbs_connection *connection, uint64_t id, void *buffer,
                     uint32_t bytes, uint32_t local_key, uint64_t remote, uint32_t remote_key) {
  struct ibv_send_wr *request = gather(connection, id, buffer, bytes, local_key);
  request->opcode = IBV_WR_RDMA_READ;
  request->wr.rdma.remote_addr = remote;
  request->wr.rdma.rkey = remote_key;
}

void memx_verbs_write(struct memx_verbs_connection *connection, uint64_t id, const void *buffer,
                      uint32_t bytes, uint32_t local_key, uint64_t remote, uint32_t remote_key) {
  struct ibv_send_wr *request = gather(connection, id, buffer, bytes, local_key);
  request->opcode = IBV_WR_RDMA_WRITE;
  request->wr.rdma.remote_addr = remote;
  request->wr.rdma.rkey = remote_key;
}

void memx_verbs_write_immediate(struct memx_verbs_connection *connection, uint64_t id,
                                const void *buffer, uint32_t bytes, uint32_t local_key,
                                uint64_t remote, uint32_t remote_key, uint32_t immediate) {
  struct ibv_send_wr *request = gather(connection, id, buffer, bytes, local_key);
  request->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
  request->imm_data = htonl(immediate);
  request->wr.rdma.remote_addr = remote;
  request->wr.rdma.rkey = remote_key;
}

int memx_verbs_post(struct memx_verbs_connection *connection) {
  if (connection->gathered == 0) return 0;
  struct ibv_send_wr *bad;
  connection->gathered = 0;
  return ibv_post_send(connection->pair, connection->requests, &bad);
}

// MARK: Completions

static int poll_queue(struct ibv_cq *queue, struct memx_verbs_completion *completions, int count) {
  struct ibv_wc found[16];
  if (count > 16) count = 16;
  count = ibv_poll_cq(queue, count, found);
  for (int index = 0; index < count; index++) {
    completions[index] = (struct memx_verbs_completion){
        .id = found[index].wr_id,
        .status = found[index].status,
        .bytes = found[index].byte_len,
        .connection = found[index].qp_num,
        .is_written = found[index].opcode == IBV_WC_RECV_RDMA_WITH_IMM,
        .immediate = ntohl(found[index].imm_data),
    };
  }
  return count;
}

int memx_verbs_poll_receives(struct memx_verbs *verbs, struct memx_verbs_completion *completions,
                             int count) {
  return poll_queue(verbs->received, completions, count);
}

int memx_verbs_poll_sends(struct memx_verbs *verbs, struct memx_verbs_completion *completions,
                          int count) {
  return poll_queue(verbs->sent, completions, count);
}

void memx_verbs_arm(struct memx_verbs *verbs, bool with_sends) {
  // The only failure is that of a device that is gone, which its events tell.
  (void)ibv_req_notify_cq(verbs->received, 0);
  if (with_sends) (void)ibv_req_notify_cq(verbs->sent, 0);
}

void memx_verbs_disarm(struct memx_verbs *verbs) {
  struct ibv_cq *queue;
  void *context;
  while (memx_api.ibv_get_cq_event(verbs->completion_channel, &queue, &context) == 0)
    memx_api.ibv_ack_cq_events(queue, 1);
}

const char *memx_verbs_status_text(uint32_t status) {
  return memx_api.ibv_wc_status_str((enum ibv_wc_status)status);
}

bool memx_verbs_is_access_error(uint32_t status) {
  return status == IBV_WC_REM_ACCESS_ERR || status == IBV_WC_REM_INV_REQ_ERR;
}

#endif
