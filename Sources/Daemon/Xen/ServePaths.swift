// SPDX-License-Identifier: Apache-2.0

/// Where in XenStore `memxctl`, memxd and a guest's module meet.
enum ServePaths {
  /// The addresses at which memxd serves, a key for each transport (`MemoryServer.addresses`).
  static let server = "/local/domain/0/memx/server"
  /// A directory for each domain that is to be served.
  static let serve = "/local/domain/0/memx/serve"

  /// The domain that a directory is named after; nil for a name that is no guest's number.
  static func domain(_ name: some StringProtocol) -> Int? {
    Int(name).flatMap { (1..<firstReserved).contains($0) && "\($0)" == name ? $0 : nil }
  }

  /// From here on domain numbers have special meanings (`DOMID_FIRST_RESERVED`).
  private static let firstReserved = 0x7FF0

  /// What memxd is to do for a domain, and says of it.
  static func serve(_ domain: Int) -> String { "\(serve)/\(domain)" }

  /// Where the guest says which frame is the root of its tree.
  static func root(_ domain: Int) -> String { "/local/domain/\(domain)/data/memx/root" }

  /// The most memory that the domain may have, in KiB; the guest can read it only.
  static func memory(_ domain: Int) -> String { "/local/domain/\(domain)/memory/static-max" }
}
