// SPDX-License-Identifier: Apache-2.0
// AF_PACKET with a receive ring shared with the kernel (TPACKET_V2), for one EtherType.
//
// Version 2 of the ring, not 3: it hands over each frame as it comes, where version 3 hands over
// blocks, after a timeout of a millisecond or more when traffic is light.
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/// A packet socket bound to one interface and EtherType, and its receive ring.
struct memx_packet {
  int fd;       // its frames go before those of others that the interface's queue holds
  int bulk_fd;  // sends only, after all others; -1 without one
  int ifindex;
  int mtu;                   // bytes behind the Ethernet header
  unsigned char address[6];  // of the interface
  unsigned char *ring;       // NULL without one
  size_t ring_bytes;
  unsigned frame_bytes;      // a frame's place in the ring, header included
  unsigned frames_per_block;
  unsigned block_bytes;
  unsigned frame_count;
};

/// glibc's struct mmsghdr, which is hidden from Swift behind _GNU_SOURCE.
struct memx_mmsghdr {
  struct msghdr msg_hdr;
  unsigned int msg_len;
};

/// sendmmsg without waiting: frames sent, or a negative errno value.
int memx_packet_send(int fd, struct memx_mmsghdr *messages, unsigned count);

/// Opens, binds and maps. Returns 0 or an errno value; `*step` then says what failed.
///
/// `frame_count` frames of up to `mtu` bytes behind the Ethernet header (the interface's MTU if 0).
int memx_packet_open(struct memx_packet *packet, const char *interface, uint16_t ethertype,
                     unsigned frame_count, int mtu, const char **step);

/// Opens `bulk_fd`. Returns 0 or an errno value; `*step` then says what failed, and all is closed.
int memx_packet_open_bulk(struct memx_packet *packet, const char **step);

void memx_packet_close(struct memx_packet *packet);

/// Is the interface up and running? 1, 0, or a negative errno value when it is gone.
int memx_packet_link_up(const struct memx_packet *packet);

/// The interface's MTU now, or a negative errno value when it is gone.
int memx_packet_mtu(const struct memx_packet *packet);

/// The error that is pending on the socket (its interface went down, say), which is so taken off it; 0
/// for none. While one is pending, poll() returns at once.
int memx_packet_take_error(const struct memx_packet *packet);

/// Frames that the ring had no room for since the last call.
unsigned memx_packet_take_drops(const struct memx_packet *packet);

static inline struct tpacket2_hdr *memx_packet_frame(const struct memx_packet *packet,
                                                     unsigned index) {
  return (struct tpacket2_hdr *)(packet->ring +
                                 (size_t)(index / packet->frames_per_block) * packet->block_bytes +
                                 (size_t)(index % packet->frames_per_block) * packet->frame_bytes);
}

/// Has the kernel handed this frame over?
static inline bool memx_packet_ready(const struct memx_packet *packet, unsigned index) {
  const struct tpacket2_hdr *frame = memx_packet_frame(packet, index);
  return __atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

/// The frame, Ethernet header first; `*length` bytes of it are in the ring.
static inline const unsigned char *memx_packet_bytes(const struct memx_packet *packet,
                                                     unsigned index, uint32_t *length) {
  const struct tpacket2_hdr *frame = memx_packet_frame(packet, index);
  *length = frame->tp_snaplen;
  return (const unsigned char *)frame + frame->tp_mac;
}

/// Gives the frame's place back to the kernel.
static inline void memx_packet_release(const struct memx_packet *packet, unsigned index) {
  struct tpacket2_hdr *frame = memx_packet_frame(packet, index);
  __atomic_store_n(&frame->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}
