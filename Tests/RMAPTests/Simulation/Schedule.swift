// SPDX-License-Identifier: Apache-2.0
import RMAP

/// What one simulated run is like: everything in it comes from a seed.
struct Schedule {
  /// No frame stays under way for longer; restarts and session timeouts are further apart, as a
  /// network's are.
  static let lifetime_ns: UInt64 = 60_000_000

  var clients = 1
  var requests = 0
  var slots: UInt64 = 0
  var depth = 0
  var clientMTU = 0
  var broadcast = false
  var giveUp_ns: UInt64 = 0
  var limits: ServerLimits
  /// Pages per region.
  var quota = Int.max
  var pathMTU = 0
  var delay_ns = 0
  var jitter_ns = 0
  /// Probabilities for each frame.
  var loss = 0.0
  var duplication = 0.0
  var corruption = 0.0
  /// That a frame takes up to `lifetime_ns`.
  var lateness = 0.0
  /// That a submission comes with a fault of the kind.
  var serverRestart = 0.0
  var storeLoss = 0.0
  var partition = 0.0
  var clientRestart = 0.0
  var overflow = 0.0
  var pause = 0.0

  init(_ random: inout SeededRandom) {
    clients = random.once(in: 4) ? random.within(2...3) : 1
    requests = random.pick([20, 40, 60, 100, 150, 300])
    slots = UInt64(random.pick([1, 3, 8, 20, 64]))
    depth = random.pick([1, 2, 4, 8, 16, 32])
    clientMTU = random.pick([1416, 1500, 1500, 4135, 4136, 9000, 9000, 9000])
    broadcast = random.once(in: 2)
    giveUp_ns = random.pick([30, 100, 400, 2000]) * 1_000_000
    limits = ServerLimits(
      maxSessions: random.within(clients...clients + 2),
      sessionTimeout_ms: UInt32(random.pick([120, 400, 3000])),
      mtu: random.pick([1500, 4136, 9000, 9000]),
      queueDepth: random.pick([1, 3, 8, 64]),
      ringFrames: random.pick([1, 8, 64, 4096]))
    if random.once(in: 8) { quota = random.within(1...20) }
    pathMTU = random.once(in: 6) ? 1500 : 9000
    delay_ns = random.pick([5_000, 50_000, 500_000, 3_000_000])
    jitter_ns = random.pick([0, 1_000, 100_000, 2_000_000])
    let bad = random.below(4)
    guard bad > 0 else { return }
    loss = random.pick([0, 0.01, 0.05, 0.1, 0.3])
    duplication = random.pick([0, 0.01, 0.1, 0.4])
    corruption = random.pick([0, 0, 0.01, 0.1])
    lateness = random.pick([0, 0.01, 0.1])
    guard bad > 1 else { return }
    serverRestart = random.pick([0, 0, 0.01, 0.04])
    storeLoss = random.pick([0, 0.3, 1])
    partition = random.pick([0, 0, 0.01, 0.04])
    clientRestart = random.pick([0, 0, 0.01, 0.04])
    overflow = random.pick([0, 0, 0.05])
    pause = random.pick([0, 0, 0.02])
  }
}
