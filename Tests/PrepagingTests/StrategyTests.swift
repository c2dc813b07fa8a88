// SPDX-License-Identifier: Apache-2.0
import Foundation
import Prepaging
import Testing

@Suite struct StrategyTests {
  static var all: [Strategy] {
    Strategy.names.flatMap { [Strategy($0)!, Strategy($0 + "+lru")!] }
  }

  @Test func everyNameIsItsOwnDescription() throws {
    for strategy in Self.all + [Strategy("bubble-dual-multi:12+lru")!] {
      #expect(Strategy(strategy.description) == strategy)
      let json = try JSONEncoder().encode([strategy])
      #expect(String(decoding: json, as: UTF8.self) == "[\"\(strategy)\"]")
      #expect(try JSONDecoder().decode([Strategy].self, from: json) == [strategy])
    }
    #expect(Set(Self.all).count == 20)
  }

  @Test func theDefaultNumberOfPivotsNeedsNoNaming() {
    #expect(Strategy("bubble-dual-multi:7") == Strategy("bubble-dual-multi"))
    #expect(Strategy("bubble-dual-multi:7")!.description == "bubble-dual-multi")
    #expect(Strategy("bubble-forward-multi:64")!.description == "bubble-forward-multi:64")
  }

  @Test(arguments: [
    "", "+lru", "bubble", "Push", "push ", "push+lru+lru", "push:7", "streams:1", "lru",
    "bubble-dual-multi:", "bubble-dual-multi:0", "bubble-dual-multi:65", "bubble-dual-multi:+7",
    "bubble-dual-multi:7:7", "bubble-dual:7", "bubble-dual-multi+lru:7",
  ])
  func otherNamesAreRefused(name: String) {
    #expect(Strategy(name) == nil)
    let json = Data("[\"\(name)\"]".utf8)
    #expect(throws: DecodingError.self) { try JSONDecoder().decode([Strategy].self, from: json) }
  }

  @Test func theHelpNamesAll() {
    for name in Strategy.names { #expect(Strategy.help.contains(name)) }
  }
}
