// SPDX-License-Identifier: Apache-2.0

/// What to migrate, where to, and how.
public struct MigrationRequest: Sendable {
  /// The domain's name.
  public var domain: String
  /// The command whose standard input and output reach `memxctl receive` at the target.
  public var channel: [String]
  /// Which page goes next, as `memxd` names strategies; empty: memxd's choice.
  public var strategy = ""
  /// The most bytes of pages a second that are pushed; 0 for as many as the network carries.
  public var rate_bytes_s: UInt64 = 0
  /// How long pages may go out before the guest is suspended, at most.
  public var prepare_s = 120

  public init(domain: String, channel: [String]) {
    self.domain = domain
    self.channel = channel
  }
}

/// What a migration does at the moment.
public enum Phase: String, Sendable, CaseIterable {
  case check = "Checking both sides"
  case prepare = "Paging out"
  case transfer = "Suspended: moving the rest"
  case push = "Runs at the target: pages follow"
}

/// How far a migration is.
public struct MigrationProgress: Sendable {
  public var phase: Phase
  /// Share of the phase that is done, 0 to 1, as far as can be told.
  public var fraction: Double
}
