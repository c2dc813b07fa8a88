// SPDX-License-Identifier: Apache-2.0
// Connections: how they begin, what happens to them, how they end.
#include "verbs.h"

#ifdef MEMX_HAVE_VERBS
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

int memx_verbs_make_pair(struct memx_verbs *verbs, struct memx_verbs_connection *connection,
                         uint32_t sends) {
  struct ibv_qp_init_attr attributes = {
      .send_cq = verbs->sent,
      .recv_cq = verbs->received,
      .srq = verbs->receives,
      .cap = {.max_send_wr = sends, .max_send_sge = 1},
      .qp_type = IBV_QPT_RC,
      .sq_sig_all = 1,
  };
  if (memx_api.rdma_create_qp(connection->id, verbs->domain, &attributes)) return errno;
  connection->pair = connection->id->qp;
  return 0;
}

static uint8_t at_most_128(int count) { return (uint8_t)(count < 128 ? count : 128); }

struct rdma_conn_param memx_verbs_parameters(const struct memx_verbs *verbs, const void *private_data,
                                             uint8_t private_bytes) {
  return (struct rdma_conn_param){
      .private_data = private_data,
      .private_data_len = private_bytes,
      .responder_resources = at_most_128(verbs->attributes.max_qp_rd_atom),
      .initiator_depth = at_most_128(verbs->attributes.max_qp_init_rd_atom),
      // Not 7: soft-RoCE takes that for ever, and a dead link would never show.
      .retry_count = 6,
      // For ever: the receive queue is shared, so another connection's burst may empty it for a moment.
      .rnr_retry_count = 7,
  };
}

static void take_private_data(struct memx_verbs_event *event, const struct rdma_conn_param *from) {
  uint32_t bytes = from->private_data ? from->private_data_len : 0;
  event->private_bytes =
      bytes < MEMX_VERBS_PRIVATE_BYTES ? bytes : (uint32_t)MEMX_VERBS_PRIVATE_BYTES;
  memcpy(event->private_data, from->private_data, event->private_bytes);
}

struct memx_verbs_event memx_verbs_next_event(struct memx_verbs *verbs) {
  struct memx_verbs_event event = {.kind = MEMX_VERBS_NOTHING};
  struct rdma_cm_event *found;
  while (event.kind == MEMX_VERBS_NOTHING && memx_api.rdma_get_cm_event(verbs->channel, &found) == 0) {
    event.connection = found->id->context;
    switch (found->event) {
      case RDMA_CM_EVENT_CONNECT_REQUEST: {
        struct memx_verbs_connection *connection = calloc(1, sizeof *connection);
        if (!connection) {
          memx_api.rdma_reject(found->id, NULL, 0);
          // Its event has to be acknowledged before an identifier can be destroyed.
          struct rdma_cm_id *id = found->id;
          memx_api.rdma_ack_cm_event(found);
          memx_api.rdma_destroy_id(id);
          continue;
        }
        connection->id = found->id;
        connection->offered = (struct memx_verbs_reads){
            .answered = found->param.conn.responder_resources,
            .asked = found->param.conn.initiator_depth,
        };
        found->id->context = connection;
        event.kind = MEMX_VERBS_REQUEST;
        event.connection = connection;
        take_private_data(&event, &found->param.conn);
        break;
      }
      case RDMA_CM_EVENT_ESTABLISHED: event.kind = MEMX_VERBS_ESTABLISHED; break;
      case RDMA_CM_EVENT_CONNECT_ERROR:
      case RDMA_CM_EVENT_UNREACHABLE:
      case RDMA_CM_EVENT_REJECTED:
      case RDMA_CM_EVENT_DISCONNECTED: event.kind = MEMX_VERBS_ENDED; break;
      case RDMA_CM_EVENT_DEVICE_REMOVAL:
      case RDMA_CM_EVENT_ADDR_CHANGE: event.kind = MEMX_VERBS_REMOVED; break;
      default: break;
    }
    memx_api.rdma_ack_cm_event(found);
  }
  return event;
}

int memx_verbs_accept(struct memx_verbs *verbs, struct memx_verbs_connection *connection,
                      uint32_t sends, const void *private_data, uint8_t private_bytes) {
  int code = memx_verbs_make_pair(verbs, connection, sends);
  if (!code) {
    struct rdma_conn_param parameters = memx_verbs_parameters(verbs, private_data, private_bytes);
    struct memx_verbs_reads agreed = memx_verbs_agree(
        (struct memx_verbs_reads){.answered = parameters.responder_resources,
                                  .asked = parameters.initiator_depth},
        connection->offered);
    parameters.responder_resources = agreed.answered;
    parameters.initiator_depth = agreed.asked;
    if (memx_api.rdma_accept(connection->id, &parameters)) code = errno;
  } else {
    memx_api.rdma_reject(connection->id, NULL, 0);
  }
  if (code) memx_verbs_destroy(connection);
  return code;
}

void memx_verbs_refuse(struct memx_verbs_connection *connection, const void *private_data,
                       uint8_t private_bytes) {
  memx_api.rdma_reject(connection->id, private_data, private_bytes);
  memx_verbs_destroy(connection);
}

void memx_verbs_disconnect(struct memx_verbs_connection *connection) {
  memx_api.rdma_disconnect(connection->id);
}

void memx_verbs_stop(struct memx_verbs_connection *connection) {
  struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};
  memx_api.ibv_modify_qp(connection->pair, &attributes, IBV_QP_STATE);
}

void memx_verbs_destroy(struct memx_verbs_connection *connection) {
  if (connection->pair) memx_api.rdma_destroy_qp(connection->id);
  memx_api.rdma_destroy_id(connection->id);
  free(connection);
}

uint32_t memx_verbs_number(const struct memx_verbs_connection *connection) {
  return connection->pair->qp_num;
}

void memx_verbs_set_owner(struct memx_verbs_connection *connection, uint32_t owner) {
  connection->owner = owner;
}

uint32_t memx_verbs_owner(const struct memx_verbs_connection *connection) {
  return connection->owner;
}

void memx_verbs_peer_address(const struct memx_verbs_connection *connection,
                             char text[MEMX_VERBS_ADDRESS_BYTES]) {
  memx_verbs_address_text(rdma_get_peer_addr(connection->id), text);
}

struct memx_verbs_connection *memx_verbs_connected(const struct memx_verbs *verbs) {
  return verbs->connected;
}

// MARK: The connecting side

/// Waits for one event of the connection under way. 0 when it is the one that is wanted, else an errno value.
static int await(struct memx_verbs *verbs, enum rdma_cm_event_type wanted, int timeout_ms,
                 struct memx_verbs_event *answer) {
  struct pollfd polled = {.fd = verbs->channel->fd, .events = POLLIN};
  int ready;
  while ((ready = poll(&polled, 1, timeout_ms)) < 0 && errno == EINTR) {}
  if (ready == 0) return ETIMEDOUT;
  struct rdma_cm_event *event;
  if (memx_api.rdma_get_cm_event(verbs->channel, &event)) return errno;
  int code = 0;
  if (event->event != wanted) {
    code = event->event == RDMA_CM_EVENT_REJECTED ? ECONNREFUSED
           : event->status < 0                    ? -event->status
                                                  : EHOSTUNREACH;
  }
  if (answer && (event->event == wanted || event->event == RDMA_CM_EVENT_REJECTED))
    take_private_data(answer, &event->param.conn);
  memx_api.rdma_ack_cm_event(event);
  return code;
}

struct memx_verbs *memx_verbs_connect(const char *host, uint16_t port,
                                      const struct memx_verbs_limits *limits, int timeout_ms,
                                      struct memx_verbs_event *answer,
                                      struct memx_verbs_failure *failure) {
  memset(answer, 0, sizeof *answer);
  struct memx_verbs *verbs = calloc(1, sizeof *verbs);
  struct memx_verbs_connection *connection = calloc(1, sizeof *connection);
  struct sockaddr_storage server;
  failure->code = ENOMEM;
  failure->step = "get memory";
  if (!verbs || !connection) {
    free(connection);
    free(verbs);
    return NULL;
  }
  failure->code = memx_verbs_find_address(host, port, &server, failure);
  if (failure->code) goto no_connection;
  failure->step = "use the connection manager (is the module rdma_ucm loaded?)";
  verbs->channel = memx_api.rdma_create_event_channel();
  if (!verbs->channel || memx_api.rdma_create_id(verbs->channel, &connection->id, connection, RDMA_PS_TCP)) {
    failure->code = errno;
    goto no_connection;
  }
  verbs->connected = connection;
  failure->step = "find an RDMA device that leads there (see ‘rdma link’)";
  failure->code = memx_api.rdma_resolve_addr(connection->id, NULL, (struct sockaddr *)&server, timeout_ms)
                      ? errno
                      : await(verbs, RDMA_CM_EVENT_ADDR_RESOLVED, timeout_ms, NULL);
  if (failure->code) goto out;
  failure->step = "find a route";
  failure->code = memx_api.rdma_resolve_route(connection->id, timeout_ms)
                      ? errno
                      : await(verbs, RDMA_CM_EVENT_ROUTE_RESOLVED, timeout_ms, NULL);
  if (failure->code) goto out;
  memcpy(&verbs->local, rdma_get_local_addr(connection->id), sizeof verbs->local);
  failure->code = memx_verbs_open_device(verbs, connection->id->verbs, connection->id->port_num,
                                         limits, failure);
  if (failure->code) goto out;
  failure->step = "make a queue pair";
  failure->code = memx_verbs_make_pair(verbs, connection, limits->connection_sends);
  if (failure->code) goto out;
  failure->step = "connect";
  struct rdma_conn_param parameters =
      memx_verbs_parameters(verbs, limits->private_data, (uint8_t)limits->private_bytes);
  // Nobody reads a client's memory.
  parameters.responder_resources = 0;
  failure->code = memx_api.rdma_connect(connection->id, &parameters)
                      ? errno
                      : await(verbs, RDMA_CM_EVENT_ESTABLISHED, timeout_ms, answer);
  if (failure->code) goto out;
  fcntl(verbs->channel->fd, F_SETFL, fcntl(verbs->channel->fd, F_GETFL) | O_NONBLOCK);
  return verbs;
no_connection:
  free(connection);
out:
  memx_verbs_close(verbs);
  return NULL;
}

#endif
