// SPDX-License-Identifier: Apache-2.0
// Goes through memory from its first page to its last, over and over, as the stress test of Hines,
// Deshpande, Gopalan, "Post-Copy Live Migration of Virtual Machines", section 5.1, does.
//   sweep read|write MEMORY_MIB STEP_US
// It fills MEMORY_MIB with numbers that do not repeat, says ‘filled’, and then reads each page, or
// checks its first number and writes new ones, and sleeps until STEP_US have passed since the page
// before. At a line on standard input it ends the pass, reads
// everything once more, and says ‘verified passes=N longest_us=N’, the longest being the time
// that a single page took; or it says which page was wrong, as soon as it is.
#define _DEFAULT_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_WORDS = 512 };

static uint64_t first_number(size_t page, uint64_t version) {
  uint64_t z = (page << 24 ^ version) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  return z ^ (z >> 27);
}

static void fill(uint64_t *words, size_t page, uint64_t version) {
  uint64_t number = first_number(page, version);
  for (size_t word = 0; word < PAGE_WORDS; word++) words[word] = number + word;
}

static void check(const uint64_t *words, size_t count, size_t page, uint64_t version) {
  uint64_t number = first_number(page, version);
  for (size_t word = 0; word < count; word++)
    if (words[word] != number + word) {
      printf("wrong: word %zu of page %zu\n", word, page);
      exit(1);
    }
}

static uint64_t now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000ull + time.tv_nsec / 1000;
}

// A page that took longer than a step does not make the next one shorter.
static void finish_step(uint64_t began_us, uint64_t step_us) {
  uint64_t passed_us = now_us() - began_us;
  if (passed_us < step_us) usleep(step_us - passed_us);
}

static int is_told_to_end(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) != 0;
}

int main(int argc, char **argv) {
  int writes = argc == 4 && !strcmp(argv[1], "write");
  int step_us = argc == 4 ? atoi(argv[3]) : -1;
  if (argc != 4 || (!writes && strcmp(argv[1], "read")) || atoi(argv[2]) < 1 || step_us < 0 ||
      step_us > 100000) {
    fprintf(stderr, "usage: sweep read|write MEMORY_MIB STEP_US\n");
    return 64;
  }
  size_t pages = (size_t)atoi(argv[2]) << 8;
  uint64_t(*memory)[PAGE_WORDS] =
      mmap(NULL, pages << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    perror("sweep: no memory");
    return 1;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t page = 0; page < pages; page++) fill(memory[page], page, 0);
  puts("filled");

  uint64_t version = 0, passes = 0, longest_us = 0;
  for (; !is_told_to_end(); passes++) {
    for (size_t page = 0; page < pages; page++) {
      uint64_t began_us = now_us();
      check(memory[page], writes ? 1 : PAGE_WORDS, page, version);
      if (writes) fill(memory[page], page, version + 1);
      uint64_t took_us = now_us() - began_us;
      if (took_us > longest_us) longest_us = took_us;
      if (step_us) finish_step(began_us, step_us);
    }
    version += writes;
  }
  for (size_t page = 0; page < pages; page++) check(memory[page], PAGE_WORDS, page, version);
  printf("verified passes=%llu longest_us=%llu\n", (unsigned long long)passes,
         (unsigned long long)longest_us);
}
