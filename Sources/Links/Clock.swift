// SPDX-License-Identifier: Apache-2.0
import Glibc

/// `CLOCK_MONOTONIC` in nanoseconds: the time that sessions on a link are given.
@inline(__always)
public func monotonic_ns() -> UInt64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// CPU time of the calling thread in microseconds.
public func threadCPU_us() -> UInt64 {
  var now = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
  return UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1000
}
