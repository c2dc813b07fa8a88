// SPDX-License-Identifier: Apache-2.0
// The floor under memx's figures: pages over AF_PACKET in plain C, with nothing that makes them
// safe: no sessions, checksums, retransmission or access control.
//   floor server IF                                  serves 1 GiB of random bytes, until killed
//   floor client IF read|write DEPTH MTU SECONDS     prints one JSON object
// Both sides poll for 50 us, as memx does, and then sleep.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { PAGE = 4096, PIECE = 1376, BATCH = 64, SLOTS = 1 << 18, TYPE = 0x88B6, DEPTH = 512 };

struct wire {
  struct ethhdr eth;
  uint8_t write, piece, pieces, reserved;
  uint32_t tag, slot;
  uint8_t padding[14];
} __attribute__((packed));

static int fd, queued;
static struct wire headers[BATCH];
static struct iovec out_vectors[BATCH][2], in_vectors[BATCH];
static struct mmsghdr out[BATCH], in[BATCH];
static uint8_t frames[BATCH][9216], store_pages[DEPTH][PAGE];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static uint64_t random64(void) {
  static uint64_t x = 88172645463325252u;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return x;
}

static void flush(void) {
  for (int i = 0; i < queued;) {
    int n = sendmmsg(fd, out + i, queued - i, 0);
    if (n < 0) break;
    i += n;
  }
  queued = 0;
}

static void put(const struct wire *header, void *data, int length) {
  headers[queued] = *header;
  out_vectors[queued][0] = (struct iovec){&headers[queued], sizeof *header};
  out_vectors[queued][1] = (struct iovec){data, length};
  out[queued].msg_hdr =
      (struct msghdr){.msg_iov = out_vectors[queued], .msg_iovlen = length ? 2 : 1};
  if (++queued == BATCH) flush();
}

static void put_page(struct wire *header, uint8_t *page) {
  for (int i = 0; i < header->pieces; i++) {
    int from = i * PIECE, left = PAGE - from;
    header->piece = i;
    put(header, page + from, header->pieces > 1 && left > PIECE ? PIECE : left);
  }
}

static int take(void) {
  for (double end = now() + 50e-6;;) {
    int n = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
    if (n > 0) return n;
    struct pollfd p = {fd, POLLIN, 0};
    if (now() > end && poll(&p, 1, 100) == 0) return 0;
  }
}

static void open_link(const char *name) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                .sll_protocol = htons(TYPE),
                                .sll_ifindex = if_nametoindex(name)};
  int bytes = 32 << 20;
  fd = socket(AF_PACKET, SOCK_RAW, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
  if (bind(fd, (struct sockaddr *)&address, sizeof address)) perror(name), exit(1);
  for (int i = 0; i < BATCH; i++) {
    in_vectors[i] = (struct iovec){frames[i], sizeof frames[i]};
    in[i].msg_hdr = (struct msghdr){.msg_iov = &in_vectors[i], .msg_iovlen = 1};
  }
}

static void serve(void) {
  size_t bytes = (size_t)SLOTS * PAGE;
  uint8_t *store =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(store, bytes, MADV_HUGEPAGE);
  for (size_t i = 0; i < bytes; i += 8) *(uint64_t *)(store + i) = random64();
  puts("ready");
  fflush(stdout);
  for (;;) {
    int n = take();
    for (int i = 0; i < n; i++) {
      struct wire h = *(struct wire *)frames[i];
      uint8_t *page = store + (size_t)(h.slot % SLOTS) * PAGE;
      memcpy(h.eth.h_dest, h.eth.h_source, 6);
      if (!h.write) {
        put_page(&h, page);
        continue;
      }
      memcpy(page + h.piece * PIECE, frames[i] + sizeof h, in[i].msg_len - sizeof h);
      if (h.piece == h.pieces - 1) put(&h, NULL, 0);
    }
    flush();
  }
}

static double cpu_us(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 + r.ru_utime.tv_usec + r.ru_stime.tv_usec;
}

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static int ask(const char *link, int write, int depth, int pieces, double seconds) {
  double sent[DEPTH] = {0}, begin = now() + 0.2, cpu = 0;
  int got[DEPTH] = {0}, warm = 1;
  size_t done = 0, room = 1 << 24;
  float *us = malloc(room * sizeof *us);
  struct wire h = {.write = write, .pieces = pieces};

  open_link(link);
  h.eth.h_proto = htons(TYPE);
  memset(h.eth.h_dest, 0xff, 6);
  for (double t; (t = now()) < begin + seconds;) {
    if (warm && t > begin) warm = 0, done = 0, cpu = cpu_us();
    for (int tag = 0; tag < depth; tag++) {
      if (t - sent[tag] < 0.1) continue;  // under way, and not lost
      h.tag = tag, h.slot = random64() % SLOTS;
      sent[tag] = t, got[tag] = 0;
      if (write) put_page(&h, store_pages[tag]);
      else put(&h, NULL, 0);
    }
    flush();
    int n = take();
    t = now();
    for (int i = 0; i < n; i++) {
      struct wire *r = (struct wire *)frames[i];
      if (r->tag >= (uint32_t)depth || !sent[r->tag]) continue;
      memcpy(h.eth.h_dest, r->eth.h_source, 6);
      if (!write) {
        memcpy(store_pages[r->tag] + r->piece * PIECE, r + 1, in[i].msg_len - sizeof *r);
        if (++got[r->tag] < pieces) continue;
      }
      if (done < room) us[done] = (t - sent[r->tag]) * 1e6;
      done++;
      sent[r->tag] = 0;
    }
  }
  cpu = cpu_us() - cpu;
  if (!done) return 1;
  size_t kept = done < room ? done : room;
  qsort(us, kept, sizeof *us, by_value);
  printf("{\"pages_per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"client_cpu_us_per_page\":%.2f}\n",
         done / seconds, us[kept / 2], us[kept * 99 / 100], cpu / done);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "server")) {
    open_link(argv[2]);
    serve();
  }
  if (argc == 7 && !strcmp(argv[1], "client")) {
    int depth = atoi(argv[4]);
    if (depth >= 1 && depth <= DEPTH)
      return ask(argv[2], !strcmp(argv[3], "write"), depth,
                 atoi(argv[5]) < PAGE + (int)sizeof(struct wire) ? 3 : 1, atof(argv[6]));
  }
  fprintf(stderr, "floor server IF | floor client IF read|write DEPTH(1-512) MTU SECONDS\n");
  return 64;
}
