// SPDX-License-Identifier: Apache-2.0
import RMAP

/// What a slot may hold, as far as its client can know.
struct SlotModel {
  /// Values of pages that a read may find; one unless a write or discard failed.
  var values: Set<UInt64> = [0]
  /// A read may also find that the page went with the store.
  var lost = false

  func allows(_ value: UInt64?) -> Bool {
    value.map(values.contains) ?? false
  }

  /// The store went, its pages with it.
  mutating func storeLost(claimsData: Bool) {
    values = claimsData ? [] : [0]
    lost = true
  }
}

/// A request that a simulated client has outstanding.
struct SimulatedRequest {
  var operation: ClientSession.Operation
  var slot: UInt64
  var count: UInt32
  var value: UInt64
  var buffer: Int
  /// How often the store had been lost when this was asked for.
  var losses: Int
  /// What the slot might hold then.
  var before: SlotModel
}

/// The completions of a session, in order.
struct Completions: CompletionSink {
  var list: [(request: UInt64, outcome: Outcome)] = []

  mutating func completed(request: UInt64, outcome: Outcome) {
    list.append((request, outcome))
  }
}
