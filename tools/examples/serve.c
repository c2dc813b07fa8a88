// SPDX-License-Identifier: Apache-2.0
// Serves the memory of one VM monitor from a region: waits at SOCKET for its userfaultfd.
//   serve LINK REGION SOCKET
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "memx.h"

static int fail(const char *what, const char *why) {
  fprintf(stderr, "serve: %s: %s\n", what, why);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: serve LINK REGION SOCKET\n");
    return 64;
  }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[3]);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0) {
    perror(argv[3]);
    return 1;
  }
  int monitor = accept(listener, NULL, NULL);
  unlink(argv[3]);
  if (monitor < 0) return fail(argv[3], "accept");

  static struct memx_mapping mappings[MEMX_MAX_MAPPINGS];
  size_t count;
  char error[MEMX_ERROR_BYTES];
  int uffd = memx_receive(monitor, 5000, mappings, &count, error, sizeof error);
  if (uffd < 0) return fail("no userfaultfd", error);

  struct memx_options options = {.size = sizeof options, .link = argv[1], .region = argv[2]};
  struct memx_memory *memory;
  if (memx_open_handed(&options, uffd, mappings, count, &memory, error, sizeof error) < 0)
    return fail("cannot serve", error);

  int code;
  char byte;
  while ((code = memx_wait(memory, 100, error, sizeof error)) == -ETIMEDOUT)
    // The monitor has gone: nobody needs the rest.
    if (recv(monitor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) memx_stop(memory);
  if (code < 0) fail("stopped", error);
  struct memx_stats stats;
  memx_stats(memory, &stats, sizeof stats);
  printf("mappings %zu\nslots %" PRIu64 "\nfetched %" PRIu64 "\npushed %" PRIu64
         "\nnetwork faults %" PRIu64 "\nblocked %.3f ms\n",
         count, stats.slots, stats.fetched, stats.pushed, stats.network_faults, stats.blocked_ns / 1e6);
  memx_close(memory);
  close(uffd);
  return code < 0 ? 1 : 0;
}
