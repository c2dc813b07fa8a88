// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CTestSupport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

int test_enter_network_namespace(int fd) { return setns(fd, CLONE_NEWNET) < 0 ? errno : 0; }

int test_packet_socket(const char *interface, int receives) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET,
      .sll_protocol = receives ? htons(ETH_P_ALL) : 0,
      .sll_ifindex = (int)if_nametoindex(interface),
  };
  int bytes = 8 << 20, on = 1;
  if (receives && (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 ||
                   setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)) {
    int code = errno;
    close(fd);
    return -code;
  }
  if (address.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    int code = errno;
    close(fd);
    return -code;
  }
  return fd;
}
