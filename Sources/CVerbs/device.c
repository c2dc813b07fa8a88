// SPDX-License-Identifier: Apache-2.0
// A device: found by its name or address, with the queues that all its connections share.
#include "verbs.h"

#ifdef MEMX_HAVE_VERBS
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(struct memx_verbs_failure *failure, int code, const char *step) {
  failure->code = code ? code : EIO;
  failure->step = step;
  return failure->code;
}

static void set_port(struct sockaddr_storage *address, uint16_t port) {
  if (address->ss_family == AF_INET)
    ((struct sockaddr_in *)address)->sin_port = htons(port);
  else
    ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

/// The address that a GID stands for: RoCE's are IP addresses, InfiniBand's are made from its subnet. IPv4 is
/// preferred, and link-local addresses are left out: they need an interface beside them.
static bool address_of(struct ibv_context *context, struct sockaddr_storage *address) {
  bool found = false;
  union ibv_gid gid;
  for (int index = 0; index < 256 && memx_api.ibv_query_gid(context, 1, index, &gid) == 0; index++) {
    const struct in6_addr *in6 = (const struct in6_addr *)gid.raw;
    if (IN6_IS_ADDR_UNSPECIFIED(in6) || IN6_IS_ADDR_LINKLOCAL(in6)) continue;
    memset(address, 0, sizeof *address);
    found = true;
    if (IN6_IS_ADDR_V4MAPPED(in6)) {
      struct sockaddr_in *ipv4 = (struct sockaddr_in *)address;
      ipv4->sin_family = AF_INET;
      memcpy(&ipv4->sin_addr, gid.raw + 12, 4);
      return true;
    }
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)address;
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_addr = *in6;
  }
  return found;
}

int memx_verbs_find_address(const char *host, uint16_t port, struct sockaddr_storage *address,
                            struct memx_verbs_failure *failure) {
  struct ibv_device **devices = memx_api.ibv_get_device_list(NULL);
  for (int index = 0; devices && devices[index]; index++) {
    if (strcmp(memx_api.ibv_get_device_name(devices[index]), host) != 0) continue;
    struct ibv_context *context = memx_api.ibv_open_device(devices[index]);
    int code = errno;
    memx_api.ibv_free_device_list(devices);
    if (!context) return failed(failure, code, "open the device");
    bool found = address_of(context, address);
    memx_api.ibv_close_device(context);
    if (!found)
      return failed(failure, EADDRNOTAVAIL,
                    "find an IP address on the device (give its network interface one)");
    set_port(address, port);
    return 0;
  }
  if (devices) memx_api.ibv_free_device_list(devices);
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *info;
  if (getaddrinfo(host, NULL, &hints, &info) != 0)
    return failed(failure, ENODEV,
                  "find it: it is neither an RDMA device (see ‘rdma link’) nor an IP address");
  memcpy(address, info->ai_addr, info->ai_addrlen);
  freeaddrinfo(info);
  set_port(address, port);
  return 0;
}

void memx_verbs_address_text(const struct sockaddr *address, char text[MEMX_VERBS_ADDRESS_BYTES]) {
  socklen_t bytes =
      address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (getnameinfo(address, bytes, text, MEMX_VERBS_ADDRESS_BYTES, NULL, 0, NI_NUMERICHOST) != 0)
    snprintf(text, MEMX_VERBS_ADDRESS_BYTES, "unknown");
}

int memx_verbs_open_device(struct memx_verbs *verbs, struct ibv_context *context, uint8_t port,
                           const struct memx_verbs_limits *limits,
                           struct memx_verbs_failure *failure) {
  verbs->context = context;
  verbs->port = port ? port : 1;
  int code = memx_api.ibv_query_device(context, &verbs->attributes);
  if (code) return failed(failure, code, "ask the device what it can");
  verbs->domain = memx_api.ibv_alloc_pd(context);
  if (!verbs->domain) return failed(failure, errno, "make a protection domain");
  verbs->completion_channel = memx_api.ibv_create_comp_channel(context);
  if (!verbs->completion_channel) return failed(failure, errno, "make a completion channel");
  int fd = verbs->completion_channel->fd;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  verbs->received = memx_api.ibv_create_cq(context, (int)limits->receives, NULL,
                                           verbs->completion_channel, 0);
  verbs->sent = memx_api.ibv_create_cq(context, (int)limits->sends, NULL, verbs->completion_channel, 0);
  if (!verbs->received || !verbs->sent) return failed(failure, errno, "make a completion queue");
  struct ibv_srq_init_attr receives = {.attr = {.max_wr = limits->receives, .max_sge = 1}};
  verbs->receives = memx_api.ibv_create_srq(verbs->domain, &receives);
  if (!verbs->receives) return failed(failure, errno, "make a shared receive queue");
  return 0;
}

struct memx_verbs *memx_verbs_listen(const char *host, uint16_t port,
                                     const struct memx_verbs_limits *limits,
                                     struct memx_verbs_failure *failure) {
  struct memx_verbs *verbs = calloc(1, sizeof *verbs);
  if (!verbs) {
    failed(failure, ENOMEM, "get memory");
    return NULL;
  }
  if (memx_verbs_find_address(host, port, &verbs->local, failure)) goto out;
  verbs->channel = memx_api.rdma_create_event_channel();
  if (!verbs->channel) {
    failed(failure, errno, "use the connection manager (is the module rdma_ucm loaded?)");
    goto out;
  }
  fcntl(verbs->channel->fd, F_SETFL, fcntl(verbs->channel->fd, F_GETFL) | O_NONBLOCK);
  if (memx_api.rdma_create_id(verbs->channel, &verbs->id, NULL, RDMA_PS_TCP)) {
    verbs->id = NULL;
    failed(failure, errno, "make an identifier");
    goto out;
  }
  // A server that starts again need not wait for the last one's connections to time out.
  int reuse = 1;
  memx_api.rdma_set_option(verbs->id, RDMA_OPTION_ID, RDMA_OPTION_ID_REUSEADDR, &reuse, sizeof reuse);
  if (memx_api.rdma_bind_addr(verbs->id, (struct sockaddr *)&verbs->local)) {
    failed(failure, errno, "bind to the address");
    goto out;
  }
  if (!verbs->id->verbs) {
    failed(failure, ENODEV, "find an RDMA device with this address (see ‘rdma link’)");
    goto out;
  }
  if (memx_verbs_open_device(verbs, verbs->id->verbs, verbs->id->port_num, limits, failure)) goto out;
  if (memx_api.rdma_listen(verbs->id, 128)) {
    failed(failure, errno, "listen");
    goto out;
  }
  return verbs;
out:
  memx_verbs_close(verbs);
  return NULL;
}

void memx_verbs_close(struct memx_verbs *verbs) {
  if (verbs->connected) memx_verbs_destroy(verbs->connected);
  if (verbs->id) memx_api.rdma_destroy_id(verbs->id);
  if (verbs->receives) memx_api.ibv_destroy_srq(verbs->receives);
  if (verbs->received) memx_api.ibv_destroy_cq(verbs->received);
  if (verbs->sent) memx_api.ibv_destroy_cq(verbs->sent);
  if (verbs->completion_channel) memx_api.ibv_destroy_comp_channel(verbs->completion_channel);
  if (verbs->domain) memx_api.ibv_dealloc_pd(verbs->domain);
  if (verbs->channel) memx_api.rdma_destroy_event_channel(verbs->channel);
  free(verbs);
}

void memx_verbs_local_address(const struct memx_verbs *verbs, char text[MEMX_VERBS_ADDRESS_BYTES]) {
  memx_verbs_address_text((const struct sockaddr *)&verbs->local, text);
}

const char *memx_verbs_device_name(const struct memx_verbs *verbs) {
  return memx_api.ibv_get_device_name(verbs->context->device);
}

void memx_verbs_abilities(const struct memx_verbs *verbs, struct memx_verbs_abilities *abilities) {
  const struct ibv_device_attr *attributes = &verbs->attributes;
  *abilities = (struct memx_verbs_abilities){
      .receives = (uint32_t)attributes->max_srq_wr,
      .sends = (uint32_t)attributes->max_qp_wr,
      .completions = (uint32_t)attributes->max_cqe,
      .reads = (uint32_t)attributes->max_qp_rd_atom,
      .windows = attributes->device_cap_flags &
                 (IBV_DEVICE_MEM_WINDOW_TYPE_2A | IBV_DEVICE_MEM_WINDOW_TYPE_2B),
  };
}

static int query_port(const struct memx_verbs *verbs, struct ibv_port_attr *attributes) {
  memset(attributes, 0, sizeof *attributes);
  struct verbs_context *context = verbs_get_ctx_op(verbs->context, query_port);
  if (context)
    return context->query_port(verbs->context, verbs->port, attributes, sizeof *attributes);
  return memx_api.query_port(verbs->context, verbs->port, (struct _compat_ibv_port_attr *)attributes);
}

int memx_verbs_port_up(const struct memx_verbs *verbs) {
  struct ibv_port_attr attributes;
  int code = query_port(verbs, &attributes);
  return code ? -code : attributes.state == IBV_PORT_ACTIVE;
}

int memx_verbs_completion_fd(const struct memx_verbs *verbs) { return verbs->completion_channel->fd; }
int memx_verbs_event_fd(const struct memx_verbs *verbs) { return verbs->channel->fd; }

#endif
