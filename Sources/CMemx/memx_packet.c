// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "memx_packet.h"

#include <linux/pkt_sched.h>
#include <stdio.h>

static int fail(struct memx_packet *packet, const char **step, const char *what) {
  int code = errno;
  *step = what;
  memx_packet_close(packet);
  return code;
}

static int interface_request(const struct memx_packet *packet, unsigned long request,
                             struct ifreq *ifr) {
  memset(ifr, 0, sizeof *ifr);
  ifr->ifr_ifindex = packet->ifindex;
  if (ioctl(packet->fd, SIOCGIFNAME, ifr) < 0) return -1;
  return ioctl(packet->fd, request, ifr);
}

/// Gives a socket room, a priority and its interface.
static int prepare(int fd, int ifindex, uint16_t ethertype, int priority, const char **step) {
  // The default send buffer holds a few dozen pages; FORCE needs CAP_NET_ADMIN, so it may fail.
  int bytes = 8 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  *step = "choose a priority";
  if (setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority) < 0) return -1;
  *step = "bind to the interface";
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET,
      .sll_protocol = htons(ethertype),
      .sll_ifindex = ifindex,
  };
  return bind(fd, (struct sockaddr *)&address, sizeof address);
}

int memx_packet_open(struct memx_packet *packet, const char *interface, uint16_t ethertype,
                     unsigned frame_count, int mtu, const char **step) {
  struct ifreq ifr;

  memset(packet, 0, sizeof *packet);
  packet->bulk_fd = -1;
  // Protocol 0 until bind: nothing may come in from other interfaces in between.
  packet->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (packet->fd < 0) return fail(packet, step, "open a packet socket (needs CAP_NET_RAW)");
  packet->ifindex = (int)if_nametoindex(interface);
  if (!packet->ifindex) return fail(packet, step, "find the interface");
  if (interface_request(packet, SIOCGIFMTU, &ifr) < 0) return fail(packet, step, "ask for the MTU");
  packet->mtu = mtu > 0 && mtu < ifr.ifr_mtu ? mtu : ifr.ifr_mtu;
  if (interface_request(packet, SIOCGIFHWADDR, &ifr) < 0)
    return fail(packet, step, "ask for the address");
  memcpy(packet->address, ifr.ifr_hwaddr.sa_data, 6);

  int version = TPACKET_V2;
  if (setsockopt(packet->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0)
    return fail(packet, step, "choose the ring's version");
  packet->frame_bytes =
      TPACKET_ALIGN(TPACKET2_HDRLEN + 64 + ETH_HLEN + (unsigned)packet->mtu + 16);
  packet->block_bytes = 1u << 18;
  packet->frames_per_block = packet->block_bytes / packet->frame_bytes;
  unsigned blocks = (frame_count + packet->frames_per_block - 1) / packet->frames_per_block;
  packet->frame_count = blocks * packet->frames_per_block;
  struct tpacket_req request = {
      .tp_block_size = packet->block_bytes,
      .tp_block_nr = blocks,
      .tp_frame_size = packet->frame_bytes,
      .tp_frame_nr = packet->frame_count,
  };
  if (setsockopt(packet->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
    return fail(packet, step, "make the receive ring");
  packet->ring_bytes = (size_t)blocks * packet->block_bytes;
  packet->ring =
      mmap(NULL, packet->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, packet->fd, 0);
  if (packet->ring == MAP_FAILED) {
    packet->ring = NULL;
    return fail(packet, step, "map the receive ring");
  }

  if (prepare(packet->fd, packet->ifindex, ethertype, TC_PRIO_INTERACTIVE, step) < 0)
    return fail(packet, step, *step);
  return 0;
}

int memx_packet_open_bulk(struct memx_packet *packet, const char **step) {
  packet->bulk_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (packet->bulk_fd < 0) return fail(packet, step, "open a packet socket to push from");
  // Protocol 0: it receives nothing.
  if (prepare(packet->bulk_fd, packet->ifindex, 0, TC_PRIO_BULK, step) < 0)
    return fail(packet, step, *step);
  return 0;
}

void memx_packet_close(struct memx_packet *packet) {
  if (packet->ring) munmap(packet->ring, packet->ring_bytes);
  if (packet->bulk_fd >= 0) close(packet->bulk_fd);
  if (packet->fd >= 0) close(packet->fd);
  packet->ring = NULL;
  packet->bulk_fd = -1;
  packet->fd = -1;
}

int memx_packet_mtu(const struct memx_packet *packet) {
  struct ifreq ifr;

  if (interface_request(packet, SIOCGIFMTU, &ifr) < 0) return -errno;
  return ifr.ifr_mtu;
}

int memx_packet_take_error(const struct memx_packet *packet) {
  int code = 0;
  socklen_t length = sizeof code;

  if (getsockopt(packet->fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0) return errno;
  return code;
}

int memx_packet_link_up(const struct memx_packet *packet) {
  struct ifreq ifr;

  if (interface_request(packet, SIOCGIFFLAGS, &ifr) < 0) return -errno;
  return (ifr.ifr_flags & IFF_UP) && (ifr.ifr_flags & IFF_RUNNING);
}

unsigned memx_packet_take_drops(const struct memx_packet *packet) {
  struct tpacket_stats stats;
  socklen_t length = sizeof stats;

  if (getsockopt(packet->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &length) < 0) return 0;
  return stats.tp_drops;
}

_Static_assert(sizeof(struct memx_mmsghdr) == sizeof(struct mmsghdr), "mmsghdr");

int memx_packet_send(int fd, struct memx_mmsghdr *messages, unsigned count) {
  int sent = sendmmsg(fd, (struct mmsghdr *)messages, count, MSG_DONTWAIT);

  return sent < 0 ? -errno : sent;
}
