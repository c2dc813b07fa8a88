// SPDX-License-Identifier: Apache-2.0
import RMAP

/// The IP addresses behind what stands for connections. Of one link, and used by its thread alone.
public final class PeerDirectory {
  private var addresses: [MACAddress: String] = [:]

  /// The other end's address, in its usual form; nil of a connection that is gone.
  public subscript(peer: MACAddress) -> String? {
    get { addresses[peer] }
    set { addresses[peer] = newValue }
  }

  /// All of them.
  public var all: [MACAddress: String] { addresses }
}
