// SPDX-License-Identifier: Apache-2.0
// A heartbeat, and numbered questions that are answered from memory; both over UDP.
//   pulse serve PORT MEMORY_MIB PERIOD_MS
// in a guest: sends a numbered beat each PERIOD_MS to whoever asked last, and answers questions
// from a table that fills MEMORY_MIB.
//   pulse watch ADDRESS PORT MEMORY_MIB PERIOD_MS
// outside: asks a question each two periods, checks every answer, and says for each line of
// standard input, in one line, what it has seen:
//   asked, answered, wrong, repeated (answers), beats,
//   silence_ms   the longest time between two beats that arrived
//   stopped_ms   the longest such time less the beats that were sent in it: how long the program
//                did not run, as opposed to how long the network did not carry it
// It ends with its input.
//
// A beat that is late by more than a period moves all that follow: a program that was stopped does
// not catch up.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ASK = 0x6b736170, ANSWER, BEAT };
enum { MOST_QUESTIONS = 1 << 20 };

struct message {
  uint64_t kind, number, value;
};

__attribute__((noreturn)) static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

static uint64_t entry(uint64_t index) { return mix((index + 1) * 0x9e3779b97f4a7c15); }

// Which entry answers a question: neighbours are far apart, so that all of the table is used.
static uint64_t place(uint64_t number, uint64_t entries) { return mix(number) % entries; }

static uint64_t now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000ull + time.tv_nsec / 1000;
}

// Waits until a descriptor can be read or the time has come.
static void wait_until(uint64_t due_us, struct pollfd *polls, int count) {
  uint64_t now = now_us(), wait = due_us > now ? due_us - now : 0;
  struct timespec timeout = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
  ppoll(polls, count, &timeout, NULL);
}

static void serve(int port, uint64_t entries, uint64_t period_us) {
  uint64_t *table = malloc(entries * sizeof *table);
  if (!table) fail("pulse: no memory for the table");
  for (uint64_t i = 0; i < entries; i++) table[i] = entry(i);
  int udp = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)}, peer = {0};
  if (udp < 0 || bind(udp, (struct sockaddr *)&own, sizeof own)) fail("pulse: cannot bind");

  struct message beat = {.kind = BEAT};
  for (uint64_t due = now_us() + period_us;;) {
    struct pollfd poll = {.fd = udp, .events = POLLIN};
    wait_until(due, &poll, 1);
    struct message message;
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    if (poll.revents & POLLIN &&
        recvfrom(udp, &message, sizeof message, 0, (struct sockaddr *)&from, &length) == sizeof message &&
        message.kind == ASK) {
      peer = from;
      message.kind = ANSWER;
      message.value = table[place(message.number, entries)] ^ message.number;
      sendto(udp, &message, sizeof message, 0, (struct sockaddr *)&peer, sizeof peer);
    }
    uint64_t now = now_us();
    if (now < due) continue;
    due = (now - due > period_us ? now : due) + period_us;
    beat.number++;
    if (peer.sin_port) sendto(udp, &beat, sizeof beat, 0, (struct sockaddr *)&peer, sizeof peer);
  }
}

static void watch(const char *address, int port, uint64_t entries, uint64_t period_us) {
  static unsigned char seen[MOST_QUESTIONS];
  int udp = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (udp < 0 || !inet_aton(address, &peer.sin_addr)) fail(address);
  if (connect(udp, (struct sockaddr *)&peer, sizeof peer)) fail("pulse: cannot connect");

  uint64_t answered = 0, wrong = 0, repeated = 0, beats = 0, silence_us = 0, stopped_us = 0;
  uint64_t last_beat = 0, last_us = 0;
  struct message question = {.kind = ASK};
  for (uint64_t due = now_us();;) {
    struct pollfd polls[] = {{.fd = udp, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    wait_until(due, polls, 2);
    struct message message;
    if (polls[0].revents & POLLIN && recv(udp, &message, sizeof message, 0) == sizeof message) {
      uint64_t number = message.number, now = now_us();
      if (message.kind == ANSWER && number && number <= question.number) {
        if (message.value != (entry(place(number, entries)) ^ number)) wrong++;
        if (seen[number]++)
          repeated++;
        else
          answered++;
      } else if (message.kind == BEAT && number > last_beat) {
        uint64_t passed = now - last_us, ran = (number - last_beat) * period_us;
        if (beats++ && passed > silence_us) silence_us = passed;
        if (beats > 1 && passed > ran && passed - ran > stopped_us) stopped_us = passed - ran;
        last_beat = number;
        last_us = now;
      } else if (message.kind != BEAT) {
        wrong++;
      }
    }
    if (polls[1].revents) {
      char line[64];
      if (read(STDIN_FILENO, line, sizeof line) <= 0) return;
      printf("asked=%llu answered=%llu wrong=%llu repeated=%llu beats=%llu silence_ms=%.1f stopped_ms=%.1f\n",
             (unsigned long long)question.number, (unsigned long long)answered, (unsigned long long)wrong,
             (unsigned long long)repeated, (unsigned long long)beats, silence_us / 1e3, stopped_us / 1e3);
    }
    if (now_us() < due || question.number + 1 == MOST_QUESTIONS) continue;
    due = now_us() + 2 * period_us;
    question.number++;
    // A guest that is on its way is not there to be asked: the question is lost, as it is counted.
    send(udp, &question, sizeof question, 0);
  }
}

int main(int argc, char **argv) {
  int watches = argc == 6 && !strcmp(argv[1], "watch");
  if (!watches && (argc != 5 || strcmp(argv[1], "serve"))) {
    fprintf(stderr,
            "usage: pulse serve PORT MEMORY_MIB PERIOD_MS\n"
            "       pulse watch ADDRESS PORT MEMORY_MIB PERIOD_MS\n");
    return 64;
  }
  int port = atoi(argv[argc - 3]), period_ms = atoi(argv[argc - 1]);
  uint64_t entries = ((uint64_t)atoi(argv[argc - 2]) << 20) / sizeof(uint64_t);
  if (port < 1 || port > 65535 || !entries || period_ms < 1) {
    fprintf(stderr, "pulse: the port, the memory or the period is out of range\n");
    return 64;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (watches)
    watch(argv[2], port, entries, period_ms * 1000ull);
  else
    serve(port, entries, period_ms * 1000ull);
}
