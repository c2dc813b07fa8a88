// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "verbs.h"

#ifdef MEMX_HAVE_VERBS

struct memx_verbs_api memx_api;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char missing[256];

static void *find(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (!found && !missing[0])
    snprintf(missing, sizeof missing, "the RDMA libraries are too old: they lack %s", name);
  return found;
}

static void load(void) {
  void *verbs = dlopen("libibverbs.so.1", RTLD_NOW | RTLD_GLOBAL);
  void *cm = verbs ? dlopen("librdmacm.so.1", RTLD_NOW) : NULL;
  if (!cm) {
    snprintf(missing, sizeof missing,
             "%s is missing; install librdmacm1 and ibverbs-providers (Debian, Ubuntu) or"
             " librdmacm and libibverbs (Fedora)",
             verbs ? "librdmacm.so.1" : "libibverbs.so.1");
    return;
  }
#define MEMX_FIND(name) *(void **)&memx_api.name = find(verbs, #name);
  MEMX_IBVERBS(MEMX_FIND)
#undef MEMX_FIND
#define MEMX_FIND(name) *(void **)&memx_api.name = find(cm, #name);
  MEMX_RDMACM(MEMX_FIND)
#undef MEMX_FIND
  *(void **)&memx_api.reg_mr = find(verbs, "ibv_reg_mr");
  *(void **)&memx_api.query_port = find(verbs, "ibv_query_port");
}

const char *memx_verbs_missing(void) {
  pthread_once(&once, load);
  return missing[0] ? missing : NULL;
}

#else

const char *memx_verbs_missing(void) {
  return "memx was built without RDMA; install libibverbs-dev and librdmacm-dev (Debian, Ubuntu) or"
         " rdma-core-devel (Fedora), and build it again";
}

#endif
