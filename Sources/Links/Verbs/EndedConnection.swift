// SPDX-License-Identifier: Apache-2.0
import CVerbs
import RMAP
import SystemPackage

/// A connection that has ended, and why.
public struct EndedConnection: Sendable {
  public enum Reason: Sendable, CustomStringConvertible {
    /// The other end has disconnected, or never was there.
    case disconnected
    /// This end wanted no more of it.
    case closed
    /// An operation has failed; an `enum ibv_wc_status`.
    case failed(status: UInt32)
    /// The device has not taken an operation; an errno value.
    case refused(code: Int32)
    /// It acknowledged nothing for `ms`, and had as many messages on their way as it lets be.
    case full(ms: UInt64)
    /// It acknowledged nothing for longer than any other that held buffers, and none was left for `ms`.
    case idlest(ms: UInt64)
    /// It acknowledged nothing for `ms`.
    case stalled(ms: UInt64)
    /// There was no buffer for `ms` for what it was to be sent.
    case withoutBuffer(ms: UInt64)

    public var description: String {
      switch self {
      case .disconnected: "the client has disconnected"
      case .closed: "the server has closed it"
      case .failed(let status):
        "an operation has failed: \(String(cString: memx_verbs_status_text(status)))"
      case .refused(let code): "the device takes no operation: \(Errno(rawValue: code))"
      case .full(let ms):
        "the client took no message for \(ms) ms, with as many on their way as it has receives"
      case .idlest(let ms): "the client took no message, and there was no buffer for \(ms) ms"
      case .stalled(let ms): "the client acknowledged nothing for \(ms) ms"
      case .withoutBuffer(let ms): "there was no buffer for \(ms) ms"
      }
    }
  }

  /// What stood for it.
  public let peer: MACAddress
  public let reason: Reason
}
