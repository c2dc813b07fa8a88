// SPDX-License-Identifier: Apache-2.0
import RemoteMemory
import TestSupport
import Testing

@Suite struct AreasTests {
  @Test(arguments: 1...10 as ClosedRange<UInt64>)
  func slotsAndAddressesLeadToEachOther(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var list: [Area] = []
    var slot: UInt64 = 0
    for index in 0..<Int.random(in: 1...40, using: &random) {
      slot += .random(in: 0...3, using: &random)
      let pages = UInt64.random(in: 1...20, using: &random)
      // In two programs the same addresses are different memory.
      list.append(
        Area(
          userfaultfd: index % 3, address: UInt64(index / 3 + 1) << 17, firstSlot: slot,
          pages: pages))
      slot += pages
    }
    let areas = try Areas(list.shuffled(using: &random), slots: slot, userfaultfds: 3)
    for slot in 0..<slot {
      let area = list.first { $0.slots.contains(slot) }
      #expect(areas.area(of: slot) == area, "seed \(seed)")
      guard let area else { continue }
      let address = area.address(of: slot)
      for inside in [address, address + 4095] {
        #expect(areas.slot(userfaultfd: area.userfaultfd, address: inside) == slot, "seed \(seed)")
        #expect(areas.area(userfaultfd: area.userfaultfd, address: inside) == area)
      }
    }
    for area in list {
      #expect(areas.slot(userfaultfd: area.userfaultfd, address: area.addresses.upperBound) == nil)
      #expect(areas.slot(userfaultfd: area.userfaultfd, address: area.address - 1) == nil)
    }
    #expect(areas.area(of: slot) == nil && areas.slot(userfaultfd: 3, address: 1 << 17) == nil)
  }

  @Test(
    arguments: [
      ([], "1 to 65536 areas, not 0"),
      ([Area(address: 4097, pages: 1)], "not at a multiple of 4096"),
      ([Area(address: 4096, pages: 0)], "do not fit"),
      ([Area(address: 1 << 60, pages: 1)], "do not fit"),
      ([Area(address: 4096, pages: 1 << 60)], "do not fit"),
      ([Area(userfaultfd: 1, address: 4096, pages: 1)], "no userfaultfd 1"),
      ([Area(userfaultfd: -1, address: 4096, pages: 1)], "no userfaultfd -1"),
      ([Area(address: 4096, pages: 101)], "the region is smaller than the mapping"),
      ([Area(address: 4096, firstSlot: 100, pages: 1)], "the region is smaller than the mapping"),
      ([Area(address: 4096, firstSlot: .max, pages: 1)], "the region is smaller than the mapping"),
      (
        [Area(address: 4096, pages: 2), Area(address: 1 << 20, firstSlot: 1, pages: 2)],
        "slot 1 is in two areas"
      ),
      (
        [Area(address: 8192, firstSlot: 5, pages: 2), Area(address: 4096, firstSlot: 0, pages: 2)],
        "address 0x2000 is in two areas"
      ),
    ] as [([Area], String)])
  func wrongAreasAreRefused(list: [Area], says: String) {
    do {
      _ = try Areas(list, slots: 100, userfaultfds: 1)
      Issue.record("was accepted")
    } catch {
      #expect(error.description.contains(says), "\(error)")
    }
  }
}
