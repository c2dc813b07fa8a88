// SPDX-License-Identifier: Apache-2.0
import RMAP
import TestSupport
import Testing

@Suite struct SlotStatesTests {
  /// Against an array of states, from seeds.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func behavesLikeAnArray(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let slots = UInt64.random(in: 1...1000, using: &random)
    var states = SlotStates(slots: slots)
    var model = [SlotState](repeating: .missing, count: Int(slots))
    var awaited = Set<UInt64>()
    for _ in 0..<2000 {
      let slot = UInt64.random(in: 0..<slots, using: &random)
      let state = SlotState.allCases.randomElement(using: &random)!
      switch Int.random(in: 0..<6, using: &random) {
      case 0:
        let end = UInt64.random(in: slot...slots, using: &random)
        states.set(slot..<end, state)
        for index in slot..<end { model[Int(index)] = state }
      case 1 where model[Int(slot)] != .present && model[Int(slot)] != .lost:
        #expect(awaited.insert(slot).inserted == states.await(slot))
      case 2 where Bool.random(using: &random):
        states.forgetUnderWay()
        for index in model.indices where model[index] == .requested || model[index] == .announced {
          model[index] = .missing
        }
      default:
        states.set(slot, state)
        model[Int(slot)] = state
      }
      awaited = awaited.filter { model[Int($0)] != .present && model[Int($0)] != .lost }
      let from = UInt64.random(in: 0...slots, using: &random)
      let limit = UInt64.random(in: 0...200, using: &random)
      let rest = model[Int(from)...]
      let first = rest.firstIndex(of: state).map { UInt64($0) }
      let run = UInt64(rest.prefix(Int(limit)).prefix { $0 == state }.count)
      let distance = UInt64.random(in: 0...31, using: &random)
      let near = model[Int(slot - min(slot, distance))...Int(min(slot + distance, slots - 1))]
      guard states.first(state, from: from) == first,
        states.run(state, from: from, limit: limit) == run,
        states.isPresent(anyNear: slot, within: distance) == near.contains(.present),
        states.awaited == UInt64(awaited.count), states.isAwaited(slot) == awaited.contains(slot),
        states[slot] == model[Int(slot)]
      else {
        Issue.record("seed \(seed)")
        return
      }
    }
    for state in SlotState.allCases {
      #expect(states.count(state) == UInt64(model.count { $0 == state }), "seed \(seed)")
    }
    #expect(states.isComplete == model.allSatisfy { $0 == .present || $0 == .lost })
  }

  @Test func thePresentSlotsInPieces() {
    var states = SlotStates(slots: 8192 + 10)
    states.set(5, .present)
    states.set(6, .lost)
    states.set(8191..<8202, .present)
    #expect(states.pieces == 2)
    var pieces = [[UInt8]](repeating: .init(repeating: 0xff, count: 1024), count: 2)
    for piece in 0..<2 { states.copyPresent(piece: UInt64(piece), to: &pieces[piece]) }
    var first = [UInt8](repeating: 0, count: 1024)
    (first[0], first[1023]) = (1 << 5, 1 << 7)
    var second = [UInt8](repeating: 0, count: 1024)
    (second[0], second[1]) = (0xff, 0x03)
    #expect(pieces == [first, second])
  }

  @Test func aTebibyteCostsWhatIsTouched() {
    var states = SlotStates(slots: 1 << 28)
    states.set(1 << 27, .present)
    #expect(states.count(.missing) == 1 << 28 - 1)
    #expect(states.first(.present, from: 1 << 27) == 1 << 27)
  }
}
