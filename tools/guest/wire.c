// SPDX-License-Identifier: Apache-2.0
// What ssh would be between two hosts, without its encryption, which emulated hosts are slow at.
//   wire call ADDRESS PORT
// joins standard input and output to a connection, and ends when the other side has ended.
//   wire serve PORT PROGRAM [ARGUMENT...]
// runs the program for each connection, with it as standard input and output.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 1 << 18 };

__attribute__((noreturn)) static void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in place(const char *address, const char *port) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  if (!inet_aton(address, &place.sin_addr) || !place.sin_port) {
    fprintf(stderr, "wire: %s:%s is no address and port\n", address, port);
    exit(64);
  }
  return place;
}

// Moves what has come. Returns 0 at the end, or when nobody takes it.
static int move(int from, int to) {
  static char chunk[CHUNK];
  ssize_t count = read(from, chunk, sizeof chunk);
  for (ssize_t done = 0; done < count;) {
    ssize_t written = write(to, chunk + done, count - done);
    if (written < 0) return 0;
    done += written;
  }
  return count > 0;
}

static void call(const char *address, const char *port) {
  struct sockaddr_in peer = place(address, port);
  int wire = socket(AF_INET, SOCK_STREAM, 0);
  if (wire < 0 || connect(wire, (struct sockaddr *)&peer, sizeof peer)) fail("wire: cannot connect");
  signal(SIGPIPE, SIG_IGN);
  fcntl(STDIN_FILENO, F_SETPIPE_SZ, CHUNK);
  struct pollfd polls[] = {{.fd = wire, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
  for (;;) {
    if (poll(polls, 2, -1) < 0) fail("wire: poll");
    if (polls[0].revents && !move(wire, STDOUT_FILENO)) return;
    if (polls[1].revents && !move(STDIN_FILENO, wire)) {
      shutdown(wire, SHUT_WR);
      polls[1].fd = -1;
    }
  }
}

static void serve(const char *port, char **program) {
  struct sockaddr_in own = place("0.0.0.0", port);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (listener < 0 || bind(listener, (struct sockaddr *)&own, sizeof own) || listen(listener, 8))
    fail("wire: cannot listen");
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int wire = accept(listener, NULL, NULL);
    if (wire < 0) continue;
    pid_t child = fork();
    if (!child) {
      signal(SIGCHLD, SIG_DFL);
      dup2(wire, STDIN_FILENO);
      dup2(wire, STDOUT_FILENO);
      if (wire > STDOUT_FILENO) close(wire);
      execvp(program[0], program);
      fail(program[0]);
    }
    close(wire);
  }
}

int main(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[1], "call"))
    call(argv[2], argv[3]);
  else if (argc > 3 && !strcmp(argv[1], "serve"))
    serve(argv[2], argv + 3);
  else {
    fprintf(stderr, "usage: wire call ADDRESS PORT\n       wire serve PORT PROGRAM [ARGUMENT...]\n");
    return 64;
  }
}
