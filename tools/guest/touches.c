// SPDX-License-Identifier: Apache-2.0
// The one program of a guest that is moved while it touches memory: its init, linked statically.
//   touches PATTERN AREA_MIB STEP_US
// It fills its area, says ‘filled’, and waits for a byte. Then it touches as many pages as the area
// has, in the order of PATTERN (sequential, stride, random, hotcold), one touch each STEP_US at the
// fastest, says how that went, and waits again. Then it checks the whole area, says ‘verified’ and
// powers the machine off.
//   touches PATTERN AREA_MIB list
// says in which order it would touch pages, a line each: the page, and 1 where it is written.
//
// The orders are those of memx-bench postcopy's programs of the same names with seed 1
// (Sources/Workloads/Movable/PageOrder.swift; a test holds them together), so that a guest that QEMU
// moves and a program that memx moves do the same.
//
// A touch checks every word of the page but the first, in which it counts what it writes. It speaks
// over the second serial port by polling, so that no page of the kernel is needed to be heard.
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { PORT = 0x2f8, LINE_STATUS = PORT + 5, CAN_READ = 1, CAN_WRITE = 0x20 };
enum { WORDS = 512, HOT = 10, STALL_US = 100 };
static const uint64_t GOLDEN = 0x9e3779b97f4a7c15;

static uint64_t (*area)[WORDS];
static uint32_t pages;
static double ticks_per_us;

static void say(const char *text) {
  for (; *text; text++) {
    while (!(inb(LINE_STATUS) & CAN_WRITE)) _mm_pause();
    outb(*text, PORT);
  }
}

// Spins: the guest is to be at work, not idle, when it is moved.
static void await_byte(void) {
  while (!(inb(LINE_STATUS) & CAN_READ))
    for (int i = 0; i < 10000; i++) _mm_pause();
  inb(PORT);
}

__attribute__((noreturn)) static void end(const char *text) {
  say(text);
  reboot(RB_POWER_OFF);
  _exit(1);
}

static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

static uint64_t expected(uint32_t page, int word) {
  return ((uint64_t)page << 32 | (uint32_t)word) * GOLDEN;
}

static void check(uint32_t page) {
  uint64_t difference = 0;
  for (int word = 1; word < WORDS; word++) difference |= area[page][word] ^ expected(page, word);
  if (!difference) return;
  char text[64];
  snprintf(text, sizeof text, "wrong page=%u\n", page);
  end(text);
}

struct use {
  uint32_t page;
  bool writes;
};

// A random word for a use, the same at each call.
static uint64_t draw(int64_t index) { return mix(mix(1) + index * GOLDEN); }

static uint32_t share(uint64_t word, uint32_t count) { return (unsigned __int128)word * count >> 64; }

static struct use sequential(uint32_t index) { return (struct use){index, false}; }

// Four streams in turn, each from a place of its own.
static struct use stride(uint32_t index) {
  static const int strides[] = {1, 3, 17, -5};
  int stream = index & 3;
  int64_t place = (share(draw(stream), pages) + (int64_t)(index >> 2) * strides[stream]) % pages;
  return (struct use){place < 0 ? place + pages : place, stream & 1};
}

static struct use random_order(uint32_t index) {
  uint64_t word = draw(index);
  return (struct use){share(word, pages), (mix(word) & 3) == 0};
}

// Nine uses of ten in a hot tenth of the area, the others anywhere.
static struct use hotcold(uint32_t index) {
  uint32_t hot = pages / HOT;
  uint64_t word = draw(index), kind = mix(word);
  uint32_t page = kind % HOT ? share(draw(-1), pages - hot + 1) + share(word, hot) : share(word, pages);
  return (struct use){page, kind >> 62 == 0};
}

static void run(struct use (*order)(uint32_t), double step_us) {
  uint64_t step = step_us * ticks_per_us, least = STALL_US * ticks_per_us;
  uint64_t stalls = 0, stalled = 0, longest = 0, first = __rdtsc();
  for (uint32_t i = 0; i < pages; i++) {
    struct use use = order(i);
    volatile uint64_t *writes = area[use.page];
    uint64_t before = __rdtsc();
    uint64_t count = *writes;
    if (use.writes) *writes = count + 1;
    uint64_t after = __rdtsc(), took = after - before;
    if (took > longest) longest = took;
    if (took >= least) {
      stalls++;
      stalled += took;
    }
    check(use.page);
    while (__rdtsc() - after < step) _mm_pause();
  }
  uint64_t all = __rdtsc() - first;
  char text[200];
  snprintf(text, sizeof text, "ran touches=%u run_us=%.0f stalls=%llu stalled_us=%.0f longest_us=%.0f\n",
           pages, all / ticks_per_us, (unsigned long long)stalls, stalled / ticks_per_us, longest / ticks_per_us);
  say(text);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    struct use (*use)(uint32_t);
  } orders[] = {
      {"sequential", sequential}, {"stride", stride}, {"random", random_order}, {"hotcold", hotcold}};
  struct use (*order)(uint32_t) = NULL;
  for (size_t i = 0; argc == 4 && i < sizeof orders / sizeof *orders; i++)
    if (!strcmp(orders[i].name, argv[1])) order = orders[i].use;
  if (order) pages = (uint32_t)atoi(argv[2]) << 8;
  if (order && !strcmp(argv[3], "list")) {
    for (uint32_t i = 0; i < pages; i++) printf("%u %d\n", order(i).page, order(i).writes);
    return 0;
  }
  if (ioperm(PORT, 8, 1)) {
    perror("touches: no access to the serial port");
    return 1;
  }
  if (argc != 4) end("failed: usage: touches PATTERN AREA_MIB STEP_US\n");
  if (!order || !pages) end("failed: no such pattern, or no area\n");

  // Huge pages, so that the area's order is the order of the guest's memory, which QEMU pushes in.
  size_t huge = 2 << 20, size = (size_t)pages << 12;
  char *map = mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) end("failed: no memory for the area\n");
  area = (void *)(((uintptr_t)map + huge - 1) & -huge);
  madvise(area, size, MADV_HUGEPAGE);

  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  uint64_t start = __rdtsc();
  for (uint32_t page = 0; page < pages; page++)
    for (int word = 1; word < WORDS; word++) area[page][word] = expected(page, word);
  do {
    clock_gettime(CLOCK_MONOTONIC, &to);
  } while (to.tv_sec - from.tv_sec + (to.tv_nsec - from.tv_nsec) * 1e-9 < 0.5);
  ticks_per_us = (__rdtsc() - start) / ((to.tv_sec - from.tv_sec) * 1e6 + (to.tv_nsec - from.tv_nsec) * 1e-3);

  say("filled\n");
  await_byte();
  run(order, atof(argv[3]));
  await_byte();
  for (uint32_t i = 0; i < pages; i++) {
    struct use use = order(i);
    if (use.writes) area[use.page][0]--;
  }
  for (uint32_t page = 0; page < pages; page++) {
    check(page);
    if (area[page][0]) end("wrong count: a write of a page was lost, or done twice\n");
  }
  end("verified\n");
}
