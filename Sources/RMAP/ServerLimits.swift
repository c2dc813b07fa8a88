// SPDX-License-Identifier: Apache-2.0

/// Limits of a server that hold for all its sessions.
public struct ServerLimits: Sendable {
  /// 1 to 4,096.
  public var maxSessions: Int
  /// A session that nothing was heard of for so long ends.
  public var sessionTimeout_ms: UInt32
  /// The link's MTU in bytes.
  public var mtu: Int
  /// The most requests a session may have outstanding.
  public var queueDepth: Int
  /// Frames that the link's receive ring holds; credits keep all sessions' requests below it.
  public var ringFrames: Int

  public init(
    maxSessions: Int = 64, sessionTimeout_ms: UInt32 = 30_000, mtu: Int,
    queueDepth: Int = Wire.maxQueueDepth, ringFrames: Int = 4096
  ) {
    precondition((1...4096).contains(maxSessions))
    precondition((Wire.minMTU...Wire.maxMTU).contains(mtu))
    precondition((1...Wire.maxQueueDepth).contains(queueDepth))
    self.maxSessions = maxSessions
    self.sessionTimeout_ms = sessionTimeout_ms
    self.mtu = mtu
    self.queueDepth = queueDepth
    self.ringFrames = ringFrames
  }
}
