// SPDX-License-Identifier: Apache-2.0
import Glibc

/// An `errno` as an error, with the kernel's name for it.
public struct SystemError: Error, Equatable, CustomStringConvertible {
  /// The value of `errno`.
  public let code: Int32

  /// The error that `code` stands for; by default what the last call left in `errno`.
  public init(code: Int32 = errno) { self.code = code }

  /// What `strerror` says, as in `No such device`.
  public var description: String { String(cString: strerror(code)) }

  /// The symbol of the header `errno.h`, as in `ENODEV`; `errno 999` for one that is not in the
  /// list below (glibc's `strerrorname_np` is hidden from Swift).
  public var name: String { Self.names[code] ?? "errno \(code)" }

  private static let names: [Int32: String] = [
    EPERM: "EPERM",
    ENOENT: "ENOENT",
    EINTR: "EINTR",
    EIO: "EIO",
    ENXIO: "ENXIO",
    EAGAIN: "EAGAIN",
    ENOMEM: "ENOMEM",
    EACCES: "EACCES",
    EFAULT: "EFAULT",
    EBUSY: "EBUSY",
    EEXIST: "EEXIST",
    ENODEV: "ENODEV",
    ENOTDIR: "ENOTDIR",
    EINVAL: "EINVAL",
    EMFILE: "EMFILE",
    ENOTTY: "ENOTTY",
    EFBIG: "EFBIG",
    ENOSPC: "ENOSPC",
    EROFS: "EROFS",
    EPIPE: "EPIPE",
    ERANGE: "ERANGE",
    EUSERS: "EUSERS",
    EPROTONOSUPPORT: "EPROTONOSUPPORT",
    EOPNOTSUPP: "EOPNOTSUPP",
    ENETDOWN: "ENETDOWN",
    ENETUNREACH: "ENETUNREACH",
    ENOBUFS: "ENOBUFS",
    ETIMEDOUT: "ETIMEDOUT",
    ECONNREFUSED: "ECONNREFUSED",
    EHOSTUNREACH: "EHOSTUNREACH",
    ENOEXEC: "ENOEXEC",
    ELOOP: "ELOOP",
    ENAMETOOLONG: "ENAMETOOLONG",
  ]
}
