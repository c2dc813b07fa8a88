// SPDX-License-Identifier: Apache-2.0
// Reduces the output of `valgrind --tool=lackey --trace-mem=yes` to a trace of pages.
//
//   reduce SKIP TOUCHES < lackey's output > trace
//
// SKIP is how many instructions go by before the trace starts, TOUCHES how many touches it has at most;
// the program ends when it has them. A touch is what a TLB of 64 entries with LRU replacement would
// miss: an access to a page that is none of the 64 used last. Accesses in between come to pages that
// have just been there, so they cannot fault. Only data counts, not instruction fetches. The format is
// that of Sources/Workloads/Movable/PageTrace.swift.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { TLB_ENTRIES = 64, PAGE_SHIFT = 12, HEADER_BYTES = 32, TOUCH_BYTES_MAX = 20 };

struct touch {
  uint64_t page;
  uint64_t instructions; // since the touch before
  bool writes;
};

struct entry {
  uint64_t page;
  size_t touch; // that brought it in
};

static struct touch *touches;
static size_t touch_count, touch_limit;
static struct entry tlb[TLB_ENTRIES]; // used last first
static size_t tlb_count;
static uint64_t instructions; // since the last touch

static void fail(const char *why) {
  fprintf(stderr, "reduce: %s\n", why);
  exit(1);
}

static void use(uint64_t page, bool writes) {
  size_t at = 0;
  while (at < tlb_count && tlb[at].page != page) at++;
  struct entry entry;
  if (at < tlb_count) {
    entry = tlb[at];
  } else {
    if (touch_count == touch_limit) return;
    entry = (struct entry){.page = page, .touch = touch_count};
    touches[touch_count++] = (struct touch){.page = page, .instructions = instructions};
    instructions = 0;
    if (tlb_count < TLB_ENTRIES) tlb_count++;
    else at--;
  }
  memmove(tlb + 1, tlb, at * sizeof tlb[0]);
  tlb[0] = entry;
  touches[entry.touch].writes |= writes;
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/// Numbers the pages from 0 in the order of their addresses, gaps left out; returns how many.
static size_t number_pages(void) {
  uint64_t *pages = malloc(touch_count * sizeof *pages);
  if (!pages) fail("out of memory");
  for (size_t i = 0; i < touch_count; i++) pages[i] = touches[i].page;
  qsort(pages, touch_count, sizeof *pages, by_value);
  size_t count = 0;
  for (size_t i = 0; i < touch_count; i++)
    if (count == 0 || pages[count - 1] != pages[i]) pages[count++] = pages[i];
  for (size_t i = 0; i < touch_count; i++)
    touches[i].page =
        (uint64_t *)bsearch(&touches[i].page, pages, count, sizeof *pages, by_value) - pages;
  free(pages);
  return count;
}

static unsigned char *put_varint(unsigned char *at, uint64_t value) {
  for (; value >= 0x80; value >>= 7) *at++ = (unsigned char)(value | 0x80);
  *at++ = (unsigned char)value;
  return at;
}

static void put_little(unsigned char *at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(value >> 8 * i);
}

static void write_trace(void) {
  uint64_t pages = number_pages();
  unsigned char *bytes = malloc(HEADER_BYTES + touch_count * TOUCH_BYTES_MAX);
  if (!bytes) fail("out of memory");
  unsigned char *at = bytes + HEADER_BYTES;
  int64_t last = 0;
  for (size_t i = 0; i < touch_count; i++) {
    int64_t delta = (int64_t)touches[i].page - last;
    last = (int64_t)touches[i].page;
    uint64_t zigzag = (uint64_t)delta << 1 ^ (uint64_t)(delta >> 63);
    uint64_t between = touches[i].instructions < INT32_MAX ? touches[i].instructions : INT32_MAX;
    at = put_varint(at, zigzag << 1 | touches[i].writes);
    at = put_varint(at, between);
  }
  size_t body = (size_t)(at - bytes) - HEADER_BYTES;
  memcpy(bytes, "memxtrac", 8);
  put_little(bytes + 8, 1, 4);
  put_little(bytes + 12, pages, 4);
  put_little(bytes + 16, touch_count, 4);
  put_little(bytes + 20, body, 4);
  put_little(bytes + 24, XXH64(bytes + HEADER_BYTES, body, 0), 8);
  if (fwrite(bytes, HEADER_BYTES + body, 1, stdout) != 1 || fflush(stdout) != 0)
    fail("cannot write the trace");
  fprintf(stderr, "%zu touches of %llu pages in %zu bytes\n", touch_count,
          (unsigned long long)pages, HEADER_BYTES + body);
}

int main(int argc, char **argv) {
  if (argc != 3) fail("usage: reduce SKIP TOUCHES");
  uint64_t skip = strtoull(argv[1], NULL, 10);
  touch_limit = strtoull(argv[2], NULL, 10);
  if (touch_limit == 0 || touch_limit > INT32_MAX) fail("TOUCHES is 1 to 2147483647");
  touches = calloc(touch_limit, sizeof *touches);
  if (!touches) fail("out of memory");

  char line[256];
  while (touch_count < touch_limit && fgets(line, sizeof line, stdin)) {
    // "I  04001000,3" for an instruction; " L 1ffeffe7e,8", " S …" and " M …" for its data.
    if (line[0] == 'I') {
      if (skip > 0) skip--;
      else instructions++;
      continue;
    }
    char kind = line[1];
    if (skip > 0 || line[0] != ' ' || (kind != 'L' && kind != 'S' && kind != 'M')) continue;
    char *end;
    uint64_t address = strtoull(line + 3, &end, 16);
    if (*end != ',') continue;
    uint64_t size = strtoull(end + 1, NULL, 10);
    use(address >> PAGE_SHIFT, kind != 'L');
    if (size > 1 && (address + size - 1) >> PAGE_SHIFT != address >> PAGE_SHIFT)
      use((address + size - 1) >> PAGE_SHIFT, kind != 'L');
  }
  if (touch_count == 0) fail("no touches: did the program end before SKIP, or valgrind not start?");
  write_trace();
  return 0;
}
