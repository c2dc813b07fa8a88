// SPDX-License-Identifier: Apache-2.0
import CVerbs
import Testing

/// How many RDMA reads may be under way, when both ends say how many they can have.
@Suite struct VerbsReadsTests {
  /// What an end asks for arrives the other way around: the connection manager writes an event for who gets it.
  private func event(of client: memx_verbs_reads) -> memx_verbs_reads {
    memx_verbs_reads(answered: client.asked, asked: client.answered)
  }

  @Test("a client that answers no reads may ask for as many as the server answers")
  func oneWay() {
    let server = memx_verbs_reads(answered: 128, asked: 64)
    let agreed = memx_verbs_agree(server, event(of: memx_verbs_reads(answered: 0, asked: 16)))
    #expect(agreed.answered == 16)
    #expect(agreed.asked == 0)
  }

  @Test("neither end is taken at more than it can")
  func bounds() {
    for own: UInt8 in [0, 1, 16, 128, 255] {
      for other: UInt8 in [0, 1, 16, 128, 255] {
        let agreed = memx_verbs_agree(
          memx_verbs_reads(answered: own, asked: 7),
          event(of: memx_verbs_reads(answered: 9, asked: other)))
        #expect(agreed.answered == min(own, other))
        #expect(agreed.asked == 7)
      }
    }
  }
}
