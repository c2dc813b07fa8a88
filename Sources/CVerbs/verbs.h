// SPDX-License-Identifier: Apache-2.0
// What the files of this target share.
#pragma once
#include "CVerbs.h"
#include "have.h"

#ifdef MEMX_HAVE_VERBS
#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

/// Functions that the libraries export; what is not here is inline in their headers.
#define MEMX_IBVERBS(_) \
  _(ibv_get_device_list) _(ibv_free_device_list) _(ibv_get_device_name) _(ibv_open_device) \
  _(ibv_close_device) _(ibv_query_device) _(ibv_query_gid) _(ibv_alloc_pd) _(ibv_dealloc_pd) \
  _(ibv_dereg_mr) _(ibv_create_comp_channel) _(ibv_destroy_comp_channel) _(ibv_create_cq) \
  _(ibv_destroy_cq) _(ibv_get_cq_event) _(ibv_ack_cq_events) _(ibv_create_srq) \
  _(ibv_destroy_srq) _(ibv_modify_qp) _(ibv_wc_status_str)
#define MEMX_RDMACM(_) \
  _(rdma_create_event_channel) _(rdma_destroy_event_channel) _(rdma_create_id) \
  _(rdma_destroy_id) _(rdma_bind_addr) _(rdma_resolve_addr) _(rdma_resolve_route) _(rdma_listen) \
  _(rdma_accept) _(rdma_reject) _(rdma_connect) _(rdma_disconnect) _(rdma_get_cm_event) \
  _(rdma_ack_cm_event) _(rdma_create_qp) _(rdma_destroy_qp) _(rdma_set_option)

/// The libraries' functions, once memx_verbs_missing() has returned NULL. The two whose names are macros in the
/// header have names of their own.
struct memx_verbs_api {
#define MEMX_FIELD(name) __typeof__(&name) name;
  MEMX_IBVERBS(MEMX_FIELD)
  MEMX_RDMACM(MEMX_FIELD)
#undef MEMX_FIELD
  struct ibv_mr *(*reg_mr)(struct ibv_pd *, void *, size_t, int);
  int (*query_port)(struct ibv_context *, uint8_t, struct _compat_ibv_port_attr *);
};

extern struct memx_verbs_api memx_api;

enum { MEMX_GATHERED = 32 };

struct memx_verbs {
  struct rdma_event_channel *channel;
  struct rdma_cm_id *id;  // that listens; NULL of a connecting one
  struct memx_verbs_connection *connected;
  struct ibv_context *context;
  uint8_t port;
  struct ibv_pd *domain;
  struct ibv_comp_channel *completion_channel;
  struct ibv_cq *received;
  struct ibv_cq *sent;
  struct ibv_srq *receives;
  struct ibv_device_attr attributes;
  struct sockaddr_storage local;
};

struct memx_verbs_connection {
  struct rdma_cm_id *id;
  struct ibv_qp *pair;
  uint32_t owner;
  uint32_t gathered;
  struct ibv_send_wr requests[MEMX_GATHERED];
  struct ibv_sge pieces[MEMX_GATHERED];
  // Of the request that it began with.
  struct memx_verbs_reads offered;
};

struct memx_verbs_memory {
  struct ibv_mr *region;
};

struct memx_verbs_window {
  struct ibv_mw *window;
};

/// Makes what all connections of a device share. 0 or an errno value; `failure->step` says what failed.
int memx_verbs_open_device(struct memx_verbs *verbs, struct ibv_context *context, uint8_t port,
                           const struct memx_verbs_limits *limits,
                           struct memx_verbs_failure *failure);

/// An address of the device of that name, or else the address that `host` itself is.
int memx_verbs_find_address(const char *host, uint16_t port, struct sockaddr_storage *address,
                            struct memx_verbs_failure *failure);

void memx_verbs_address_text(const struct sockaddr *address, char text[MEMX_VERBS_ADDRESS_BYTES]);
int memx_verbs_make_pair(struct memx_verbs *verbs, struct memx_verbs_connection *connection,
                         uint32_t sends);

/// The connection's parameters that do not depend on the other end.
struct rdma_conn_param memx_verbs_parameters(const struct memx_verbs *verbs, const void *private_data,
                                             uint8_t private_bytes);
#endif
