# SPDX-License-Identifier: Apache-2.0
# What the scripts share; they are at the top of the tree when they read it.

if ! command -v swift >/dev/null && [ -x /opt/swift/usr/bin/swift ]; then
  PATH=/opt/swift/usr/bin:$PATH
  export PATH
fi
# ip, modprobe and the like, which a user's PATH lacks.
PATH=$PATH:/usr/sbin:/sbin
export PATH

# as_root COMMAND...: runs it as root with the caller's cache and tools.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo env PATH="$PATH" HOME="$HOME" XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" \
      MEMX_ACCEL="${MEMX_ACCEL:-}" "$@"
  fi
}

# built ARGUMENT...: swift build in the release configuration, its output shown only on failure.
built() {
  log=$(mktemp)
  if ! swift build -c release "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}
