// SPDX-License-Identifier: Apache-2.0
import CFloor
import Links
import RMAP
import RemoteMemory

/// Pages that nobody waits for, as they come out of a receive ring.
struct BatchRun {
  /// Pages of the ring; the floor's buffer is as large, so that both find as much in the caches.
  private static let ringPages = 2048
  /// How many a service takes from the ring before it flushes.
  private static let batchPages = 64
  /// What the floor copies in a call.
  private static let floorRun: UInt64 = 256

  let pages: Int

  /// Pages a second.
  func measure(_ system: UserfaultSystem) throws -> Double {
    var bed = try UserfaultBed(pages: pages)
    let elapsed_ns: UInt64
    switch system {
    case .floor:
      let buffer = FramePages(pages: Self.ringPages)
      let start_ns = monotonic_ns()
      let code = floor_fill(
        bed.fileDescriptor, bed.memory.address, UInt64(pages), buffer.base,
        UInt64(Self.ringPages), Self.floorRun)
      elapsed_ns = monotonic_ns() - start_ns
      guard code == 0 else { throw RemoteMemoryError("the floor: errno \(code)") }
    case .memx:
      // A place of the ring holds one page here, behind the headers of its frame.
      let ring = FramePages(pages: Self.ringPages, stride: Wire.pageBytes + 256, offset: 146)
      let start_ns = monotonic_ns()
      for page in 0..<pages {
        _ = try bed.placer.place(slot: UInt64(page), page: ring[page % Self.ringPages])
        if (page + 1) % Self.batchPages == 0 { _ = try bed.placer.flush() }
      }
      _ = try bed.placer.flush()
      elapsed_ns = monotonic_ns() - start_ns
      guard bed.placer.counters.placedInBatches == UInt64(pages) else {
        throw RemoteMemoryError("not every page was placed")
      }
    }
    return Double(pages) * 1e9 / Double(elapsed_ns)
  }
}
