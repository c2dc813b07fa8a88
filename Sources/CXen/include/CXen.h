// SPDX-License-Identifier: Apache-2.0
// Xen's user-space libraries, loaded where they are used: memx is built, and runs elsewhere, without them.
//
// Declared as their headers (xenstore.h, xenforeignmemory.h of Xen 4.7 and later) document them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// libxenstore.so.4: a call that fails sets errno. What it returns is the caller's to free().
struct memx_xenstore {
  void *(*open)(unsigned long flags);
  void (*close)(void *store);
  char **(*directory)(void *store, uint32_t transaction, const char *path, unsigned *count);
  void *(*read)(void *store, uint32_t transaction, const char *path, unsigned *length);
  bool (*write)(void *store, uint32_t transaction, const char *path, const void *value, unsigned length);
  bool (*mkdir)(void *store, uint32_t transaction, const char *path);
  bool (*rm)(void *store, uint32_t transaction, const char *path);
  bool (*watch)(void *store, const char *path, const char *token);
  bool (*unwatch)(void *store, const char *path, const char *token);
  int (*fileno)(void *store);
  char **(*check_watch)(void *store);
  uint32_t (*transaction_start)(void *store);
  bool (*transaction_end)(void *store, uint32_t transaction, bool abandon);
  bool (*is_domain_introduced)(void *store, unsigned domain);
};

/// libxenforeignmemory.so.1: a call that fails sets errno.
struct memx_foreign_memory {
  void *(*open)(void *logger, unsigned flags);
  int (*close)(void *memory);
  void *(*map)(void *memory, uint32_t domain, int protection, size_t pages, const unsigned long *frames, int *errors);
  int (*unmap)(void *memory, void *address, size_t pages);
};

/// Loads the library. NULL, or why it cannot be.
const char *memx_xenstore_load(struct memx_xenstore *functions);

/// Loads the library. NULL, or why it cannot be.
const char *memx_foreign_memory_load(struct memx_foreign_memory *functions);
