// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "memx_descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST = 8 };

ssize_t memx_descriptor_send(int socket, const void *bytes, size_t length, int fd) {
  struct iovec vector = {.iov_base = (void *)bytes, .iov_len = length};
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t sent;
  do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

ssize_t memx_descriptor_receive(int socket, void *bytes, size_t room, int *fd) {
  struct iovec vector = {.iov_base = bytes, .iov_len = room};
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST * sizeof *fd)];
  struct msghdr message = {
      .msg_iov = &vector,
      .msg_iovlen = 1,
      .msg_control = control,
      .msg_controllen = sizeof control,
  };
  *fd = -1;
  ssize_t received;
  do received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  int count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; CMSG_LEN(at + sizeof *fd) <= header->cmsg_len; at += sizeof *fd) {
      int got;
      memcpy(&got, CMSG_DATA(header) + at, sizeof got);
      if (count++ == 0)
        *fd = got;
      else
        close(got);
    }
  }
  if (count <= 1 && !(message.msg_flags & MSG_CTRUNC)) return received;
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return -E2BIG;
}

int memx_descriptor_settle(int fd) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return errno;
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? errno : 0;
}
