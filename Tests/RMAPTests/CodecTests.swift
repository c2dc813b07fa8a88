// SPDX-License-Identifier: Apache-2.0
import CRMAP
import RMAP
import Testing

/// Names, addresses, the order in which a reader checks, and the round-trip estimator.
@Suite struct CodecTests {
  @Test func macAddresses() {
    let address = MACAddress("02:00:5e:Ab:00:ff")
    #expect(address?.value == 0x0200_5EAB_00FF)
    #expect(address?.description == "02:00:5e:ab:00:ff")
    for text in [
      "", "02:00:5e:ab:00", "02:00:5e:ab:00:ff:", "02:00:5e:ab:00:ff:11", "2:00:5e:ab:00:ff",
      "+2:00:5e:ab:00:ff", "-0:00:5e:ab:00:ff", "02-00-5e-ab-00-ff", "02:00:5e:ab:00:fg",
      "02:00:5e:ab:00:0ff", " 2:00:5e:ab:00:ff", "02::5e:ab:00:ff", "é:00:5e:ab:00:ff",
    ] {
      #expect(MACAddress(text) == nil, "\(text)")
    }
    #expect(MACAddress.broadcast.isGroup)
    #expect(MACAddress("01:00:00:00:00:00")!.isGroup)
    #expect(!MACAddress("02:ff:ff:ff:ff:ff")!.isGroup)
    let bytes: [UInt8] = [2, 0, 0x5E, 0xAB, 0, 0xFF]
    let loaded = bytes.withUnsafeBytes { MACAddress(at: $0.baseAddress!) }
    #expect(loaded == address)
    var stored = [UInt8](repeating: 0, count: 6)
    stored.withUnsafeMutableBytes { loaded.store(at: $0.baseAddress!) }
    #expect(stored == bytes)
  }

  @Test func regionNamesAndTokens() {
    for text in ["a", "swap-0", "A.b_C-9", String(repeating: "x", count: 31)] {
      #expect(RegionName(text)?.description == text)
    }
    for text in ["", String(repeating: "x", count: 32), "a b", "a/b", "ä", "a\0", "a\n"] {
      #expect(RegionName(text) == nil, "\(text)")
    }
    #expect(Token(String(repeating: "x", count: 32)) != nil)
    #expect(Token(String(repeating: "x", count: 33)) == nil)
    #expect(Token("secret")!.matches(Token("secret")!))
    #expect(!Token("secret")!.matches(Token("secreT")!))
    #expect(!Token("secret")!.matches(.none))
  }

  @Test func attachSurvivesTheWire() throws {
    let request = AttachRequest(
      region: RegionName("swap")!, token: Token("t0")!, slots: 7, attachID: 8, incarnation: 9,
      mtu: 1500, queueDepth: 12)
    let payload = request.payload
    #expect(payload.count == Int(RMAP_ATTACH_BYTES))
    let back = try #require(payload.withUnsafeBytes { AttachRequest(payload: $0) })
    #expect(back.region == request.region && back.token.matches(request.token))
    #expect(back.slots == 7 && back.attachID == 8 && back.incarnation == 9)
    #expect(back.mtu == 1500 && back.queueDepth == 12)
  }

  /// What a reader says about a frame, in words.
  private func reads(_ frame: [UInt8]) -> [String] {
    frame.withUnsafeBytes { bytes in
      var reader = MessageReader(bytes)
      var found: [String] = []
      while true {
        switch reader.next() {
        case .message(let message): found.append("\(message.payload.count)")
        case .fault(let fault, _): return found + ["\(fault)"]
        case .end: return found
        }
      }
    }
  }

  @Test func readerChecksInOrder() {
    var header = Header(opcode: Opcode.read.rawValue, session: 1)
    let good = message(header)
    let withPayload = message(header, payload: [1, 2, 3])
    #expect(reads([]) == [])
    #expect(reads(good + withPayload + good) == ["0", "3", "0"])
    #expect(reads(good + [UInt8](repeating: 0, count: 10)) == ["0"])
    #expect(reads(good + [UInt8](repeating: 0, count: 100)) == ["0"])
    #expect(reads(good + [1]) == ["0", "truncated"])
    #expect(reads(Array(withPayload.dropLast())) == ["truncated"])
    var spoiled = withPayload
    spoiled[41] ^= 1
    #expect(reads(good + spoiled + good) == ["0", "checksum"])
    // Padding ends a frame whatever else is in the header.
    header.opcode = 0
    header.version = 9
    #expect(reads(good + message(header) + good) == ["0"])
    // Another version comes before a length that is too great, and that before a checksum.
    header.opcode = Opcode.read.rawValue
    header.length = 0xFFFF
    var cut = withUnsafeBytes(of: header) { Array($0) }
    #expect(reads(cut) == ["version"])
    cut[0] = Wire.version
    #expect(reads(cut) == ["truncated"])
  }

  @Test func everyBitCounts() {
    let header = Header(
      opcode: Opcode.write.rawValue, session: 5, tag: 1, generation: 1, slot: 3, fragments: 4)
    let frame = message(header, payload: fragment(2, of: page(5)))
    for bit in 0..<frame.count * 8 {
      var spoiled = frame
      spoiled[bit / 8] ^= 1 << UInt8(bit % 8)
      let found = reads(spoiled)
      #expect(found.first != "\(frame.count - Wire.headerBytes)", "bit \(bit)")
    }
  }

  // MARK: The round-trip estimator (kmod/core/rtt.c)

  @Test func firstSample() {
    var rtt = memx_rtt()
    #expect(memx_rto_ns(&rtt, 0) == MEMX_RTO_FIRST_NS)
    memx_rtt_sample(&rtt, 1000, 8_001_000)
    #expect(rtt.srtt_ns == 8_000_000)
    #expect(rtt.rttvar_ns == 4_000_000)
    #expect(memx_rto_ns(&rtt, 0) == 24_000_000)
    #expect(memx_rto_ns(&rtt, 1) == 48_000_000)
    #expect(rtt.newest_answered_ns == 1000)
  }

  @Test func estimatorFollowsRFC6298() {
    var rtt = memx_rtt()
    var random = SeededRandom(seed: 3)
    var (srtt, rttvar) = (0.0, 0.0)
    for number in 0..<10_000 {
      let sample = Double(random.within(1_000_000...50_000_000))
      if number == 0 {
        (srtt, rttvar) = (sample, sample / 2)
      } else {
        rttvar = 0.75 * rttvar + 0.25 * abs(srtt - sample)
        srtt = 0.875 * srtt + 0.125 * sample
      }
      memx_rtt_sample(&rtt, 5, 5 + UInt64(sample))
      #expect(abs(Double(rtt.srtt_ns) - srtt) < 100)
      #expect(abs(Double(rtt.rttvar_ns) - rttvar) < 100)
    }
  }

  @Test func timeoutsStayInBounds() {
    var rtt = memx_rtt()
    memx_rtt_sample(&rtt, 7, 7)
    #expect(rtt.srtt_ns == 1)
    #expect(memx_rto_ns(&rtt, 0) == MEMX_RTO_MIN_NS)
    #expect(memx_rto_ns(&rtt, 3) == 8 * MEMX_RTO_MIN_NS)
    for attempt in [8, 9, 255, UInt32.max] as [UInt32] {
      #expect(memx_rto_ns(&rtt, attempt) == MEMX_RTO_MAX_NS)
    }
    memx_rtt_sample(&rtt, 0, 3_600_000_000_000)
    for attempt in [0, 1, 8, 255] as [UInt32] {
      #expect(memx_rto_ns(&rtt, attempt) == MEMX_RTO_MAX_NS)
    }
  }

  @Test func onlyTheFirstAndTheLatestTransmissionAreTimed() {
    #expect(memx_rtt_sent_ns(0, 0, 1, 2) == 2)
    #expect(memx_rtt_sent_ns(0, 1, 1, 2) == 1)
    #expect(memx_rtt_sent_ns(1, 1, 1, 2) == 2)
    #expect(memx_rtt_sent_ns(1, 2, 1, 2) == 0)
    // One that was never sent; and all from the 255th on look alike.
    #expect(memx_rtt_sent_ns(3, 2, 1, 2) == 0)
    #expect(memx_rtt_sent_ns(255, 255, 1, 2) == 0)
    #expect(memx_rtt_sent_ns(0, 255, 1, 2) == 1)
  }

  @Test func overtaking() {
    var rtt = memx_rtt()
    #expect(memx_rtt_overtaken(&rtt, 0) == 0)
    // Round trip 8 ms, deviation 4 ms: what was sent up to 6 ms earlier may still come.
    memx_rtt_sample(&rtt, 100_000_000, 108_000_000)
    #expect(memx_rtt_overtaken(&rtt, 100_000_000) == 0)
    #expect(memx_rtt_overtaken(&rtt, 94_000_000) == 0)
    #expect(memx_rtt_overtaken(&rtt, 93_999_999) != 0)
    #expect(memx_rtt_overtaken(&rtt, 200_000_000) == 0)
    // An answer to something older does not turn that back.
    memx_rtt_sample(&rtt, 50_000_000, 108_000_000)
    #expect(rtt.newest_answered_ns == 100_000_000)
  }
}
