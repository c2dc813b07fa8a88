// SPDX-License-Identifier: Apache-2.0

/// A bad network, made by the guest's kernel in both directions.
///
/// netem works on what a device sends. So that frames suffer on their way in too, the module's
/// link is one end of a veth pair, whose other end is bridged to the network card: what comes in
/// is sent by that other end.
enum Netem {
  /// The module's link on the bad network.
  static let link = "mx0"
  private static let tc = "/programs/bin/tc"
  private static let ip = "/programs/bin/ip"

  /// A script which makes the link, its network still good.
  static let prepare = """
    set -e
    modprobe -a bridge veth sch_netem
    \(ip) link add \(link) mtu 9000 type veth peer name mx1 mtu 9000
    \(ip) link add br0 mtu 9000 type bridge
    for port in eth0 mx1; do
      \(ip) link set $port master br0
      \(ip) link set $port up
    done
    \(ip) link set br0 up
    \(ip) link set \(link) up
    """

  /// A script after which frames are lost, doubled and reordered, out and in.
  ///
  /// - Parameter loss_percent: of frames in each direction.
  static func impair(loss_percent: Int) -> String {
    let netem = "netem delay 1ms reorder 90% 25% loss \(loss_percent)% duplicate 5%"
    return """
      set -e
      \(tc) qdisc add dev \(link) root \(netem)
      \(tc) qdisc add dev mx1 root \(netem)
      """
  }

  /// A script after which the link is gone and the network card is on its own again.
  static let remove = """
    set -e
    \(ip) link del \(link)
    \(ip) link del br0
    """
}
