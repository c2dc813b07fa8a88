// SPDX-License-Identifier: Apache-2.0
// Reads every page of a region and prints the sum of its words and what it took.
//   touch LINK REGION [STRATEGY [GIVE-UP-MS]]
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "memx.h"

// A page that cannot be had: a program that can do without it would jump out of here (siglongjmp).
static void no_page(int number) {
  static const char text[] = "touch: a page cannot be had\n";
  (void)number;
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(4);
  _exit(3);
}

int main(int argc, char **argv) {
  if (argc < 3 || argc > 5) {
    fprintf(stderr, "usage: touch LINK REGION [STRATEGY [GIVE-UP-MS]]\n");
    return 64;
  }
  struct sigaction action = {.sa_handler = no_page};
  sigaction(SIGBUS, &action, NULL);

  struct memx_options options = {
      .size = sizeof options,
      .link = argv[1],
      .region = argv[2],
      .token = getenv("MEMX_TOKEN"),
      .server = getenv("MEMX_SERVER"),
      .strategy = argc > 3 ? argv[3] : NULL,
      .give_up_ms = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0,
  };
  struct memx_memory *memory;
  char error[MEMX_ERROR_BYTES];
  int code = memx_open(&options, &memory, error, sizeof error);
  if (code < 0) {
    fprintf(stderr, "touch: %s (%s)\n", error, strerror(-code));
    return 1;
  }

  const uint64_t *words = memx_base(memory);
  uint64_t count = memx_slots(memory) * (MEMX_PAGE_BYTES / sizeof *words), sum = 0;
  for (uint64_t index = 0; index < count; index++) sum += words[index];

  code = memx_wait(memory, -1, error, sizeof error);
  if (code < 0) fprintf(stderr, "touch: %s (%s)\n", error, strerror(-code));
  struct memx_stats stats;
  memx_stats(memory, &stats, sizeof stats);
  printf("sum %016" PRIx64 "\nslots %" PRIu64 "\nfetched %" PRIu64 "\npushed %" PRIu64
         "\nnetwork faults %" PRIu64 "\nblocked %.3f ms\nfetch p50 %.1f us, p99 %.1f us\ntotal %.3f ms\n",
         sum, stats.slots, stats.fetched, stats.pushed, stats.network_faults, stats.blocked_ns / 1e6,
         stats.demand_ns_p50 / 1e3, stats.demand_ns_p99 / 1e3, stats.elapsed_ns / 1e6);
  memx_close(memory);
  return code < 0 ? 1 : 0;
}
