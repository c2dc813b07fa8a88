// SPDX-License-Identifier: Apache-2.0
// Plays a VM monitor that restores a guest: maps its memory in two parts, registers them with a
// userfaultfd, hands that to whoever listens at SOCKET, as Firecracker does, and lets a guest run that
// reads all of its memory, the upper part first.
//   monitor SOCKET BYTES
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static void check(int holds, const char *what) {
  if (holds) return;
  perror(what);
  exit(1);
}

static void no_page(int number) {
  (void)number;
  _exit(3);
}

static void *map(int uffd, size_t length) {
  void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(memory != MAP_FAILED, "mmap");
  struct uffdio_register range = {{(uintptr_t)memory, length}, UFFDIO_REGISTER_MODE_MISSING, 0};
  check(ioctl(uffd, UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER");
  return memory;
}

static void hand_over(const char *path, int uffd, const char *json) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(unix_socket >= 0, "socket");
  check(connect(unix_socket, (struct sockaddr *)&address, sizeof address) == 0, path);
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {{0}};
  struct iovec bytes = {(void *)(uintptr_t)json, strlen(json)};
  struct msghdr message = {
      .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  control.header = (struct cmsghdr){
      .cmsg_len = CMSG_LEN(sizeof uffd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&control.header), &uffd, sizeof uffd);
  check(sendmsg(unix_socket, &message, 0) == (ssize_t)bytes.iov_len, "sendmsg");
  // Open until this process ends: that tells the other side.
}

int main(int argc, char **argv) {
  size_t length = argc == 3 ? strtoull(argv[2], NULL, 10) / 8192 * 4096 : 0;
  if (length == 0) {
    fprintf(stderr, "usage: monitor SOCKET BYTES\n");
    return 64;
  }
  struct sigaction action = {.sa_handler = no_page};
  sigaction(SIGBUS, &action, NULL);

  int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  check(uffd >= 0, "userfaultfd");
  struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE};
  check(ioctl(uffd, UFFDIO_API, &api) == 0, "UFFDIO_API");
  uint64_t *low = map(uffd, length), *high = map(uffd, length);

  char json[512];
  const char *part = "{\"base_host_virt_addr\":%" PRIu64 ",\"size\":%zu,\"offset\":%zu,\"page_size\":4096}";
  int used = snprintf(json, sizeof json, "[");
  used += snprintf(json + used, sizeof json - used, part, (uint64_t)(uintptr_t)low, length, (size_t)0);
  used += snprintf(json + used, sizeof json - used, ",");
  used += snprintf(json + used, sizeof json - used, part, (uint64_t)(uintptr_t)high, length, length);
  snprintf(json + used, sizeof json - used, "]");
  hand_over(argv[1], uffd, json);

  uint64_t sum = 0;
  for (size_t index = 0; index < length / sizeof *high; index++) sum += high[index];
  for (size_t index = 0; index < length / sizeof *low; index++) sum += low[index];
  printf("sum %016" PRIx64 "\n", sum);
  return 0;
}
