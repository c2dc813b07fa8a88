// SPDX-License-Identifier: Apache-2.0
#include "CXen.h"

#include <dlfcn.h>

struct function {
  const char *name;
  void *place;
};

static const char *load(const char *library, const struct function *functions, size_t count) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return dlerror();
  for (size_t i = 0; i < count; i++) {
    void *symbol = dlsym(handle, functions[i].name);
    if (!symbol) return dlerror();
    *(void **)functions[i].place = symbol;
  }
  return NULL;
}

const char *memx_xenstore_load(struct memx_xenstore *functions) {
  const struct function wanted[] = {
      {"xs_open", &functions->open},
      {"xs_close", &functions->close},
      {"xs_directory", &functions->directory},
      {"xs_read", &functions->read},
      {"xs_write", &functions->write},
      {"xs_mkdir", &functions->mkdir},
      {"xs_rm", &functions->rm},
      {"xs_watch", &functions->watch},
      {"xs_unwatch", &functions->unwatch},
      {"xs_fileno", &functions->fileno},
      {"xs_check_watch", &functions->check_watch},
      {"xs_transaction_start", &functions->transaction_start},
      {"xs_transaction_end", &functions->transaction_end},
      {"xs_is_domain_introduced", &functions->is_domain_introduced},
  };
  return load("libxenstore.so.4", wanted, sizeof wanted / sizeof *wanted);
}

const char *memx_foreign_memory_load(struct memx_foreign_memory *functions) {
  const struct function wanted[] = {
      {"xenforeignmemory_open", &functions->open},
      {"xenforeignmemory_close", &functions->close},
      {"xenforeignmemory_map", &functions->map},
      {"xenforeignmemory_unmap", &functions->unmap},
  };
  return load("libxenforeignmemory.so.1", wanted, sizeof wanted / sizeof *wanted);
}
