// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Links

/// In a class, because the test macros take no noncopyable values.
private final class Table {
  var numbers: NumberTable
  init(capacity: Int) { numbers = NumberTable(capacity: capacity) }
}

@Suite struct NumberTableTests {
  /// Against a dictionary, with few places so that most numbers collide.
  @Test(arguments: 1...50)
  func agreesWithADictionary(seed: UInt64) {
    var random = seed
    func next(_ limit: UInt64) -> UInt64 {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (random >> 33) % limit
    }
    let table = Table(capacity: 8)
    var model: [UInt32: Int] = [:]
    for step in 0..<500 {
      let number = UInt32(next(40))
      if model[number] != nil {
        table.numbers.remove(number)
        model[number] = nil
      } else if model.count < 8 {
        table.numbers.insert(number, step)
        model[number] = step
      }
      for number in 0..<UInt32(40) {
        let found = table.numbers.find(number)
        #expect(found == model[number], "seed \(seed), step \(step), number \(number)")
      }
    }
  }
}
