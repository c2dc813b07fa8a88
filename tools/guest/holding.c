// SPDX-License-Identifier: Apache-2.0
// Holds memory whose content it knows, and tells on demand whether all of it is still right.
//   holding MEMORY_MIB FILE FILE_MIB
// It fills an anonymous mapping of MEMORY_MIB and FILE, meant for a tmpfs, with FILE_MIB of numbers that
// do not repeat, and says ‘filled’. For each line on standard input it reads all of both and says
// ‘verified’, or which page of which is wrong. It ends with its input.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_WORDS = 512 };

struct area {
  const char *name;
  uint64_t salt;
  uint64_t (*page)[PAGE_WORDS];
  size_t pages;
};

static uint64_t number(const struct area *area, size_t page, size_t word) {
  uint64_t z = area->salt + (page * PAGE_WORDS + word) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

__attribute__((noreturn)) static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void fill(struct area *area, int file, int mib) {
  area->pages = (size_t)mib << 8;
  int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void *map = mmap(NULL, (size_t)mib << 20, PROT_READ | PROT_WRITE, flags, file, 0);
  if (map == MAP_FAILED) fail(area->name);
  area->page = map;
  for (size_t page = 0; page < area->pages; page++)
    for (size_t word = 0; word < PAGE_WORDS; word++) area->page[page][word] = number(area, page, word);
}

// The first wrong page, or their number when none is.
static size_t first_wrong(const struct area *area) {
  for (size_t page = 0; page < area->pages; page++)
    for (size_t word = 0; word < PAGE_WORDS; word++)
      if (area->page[page][word] != number(area, page, word)) return page;
  return area->pages;
}

int main(int argc, char **argv) {
  if (argc != 4 || atoi(argv[1]) < 1 || atoi(argv[3]) < 1) {
    fprintf(stderr, "usage: holding MEMORY_MIB FILE FILE_MIB\n");
    return 64;
  }
  struct area areas[] = {{.name = "memory", .salt = 1}, {.name = "file", .salt = 2}};
  int file = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || ftruncate(file, (off_t)atoi(argv[3]) << 20)) fail(argv[2]);
  fill(&areas[0], -1, atoi(argv[1]));
  fill(&areas[1], file, atoi(argv[3]));
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("filled");

  char line[16];
  while (fgets(line, sizeof line, stdin)) {
    size_t wrong = 0, area = 0;
    for (; area < 2; area++)
      if ((wrong = first_wrong(&areas[area])) < areas[area].pages) break;
    if (area == 2)
      puts("verified");
    else
      printf("wrong: page %zu of %s\n", wrong, areas[area].name);
  }
}
