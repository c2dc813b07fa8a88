// SPDX-License-Identifier: Apache-2.0
import PageStore
import Processes
import Xen

/// The pages that a guest cannot page out, by its own word, mapped while it prepares for a migration.
///
/// They are a hint: some may have been given back since, or be another's by now, of which the image will know
/// nothing; others have come since, and are in the image all the same.
struct Precopy {
  /// Frames that are mapped together.
  private static let batch = 512

  private let frames: [(pfns: [UInt64], mapped: MappedFrames)]
  /// How many pages there are.
  let pages: Int

  /// Maps them.
  ///
  /// - Parameters:
  ///   - root: where the tree of their frames is, as the guest has written it.
  ///   - limit: the most pages that the guest can have.
  init(root: String, of domain: Int, limit: Int, mapper: any FrameMapper) throws(RunFailure) {
    var frames: [(pfns: [UInt64], mapped: MappedFrames)] = []
    var (pfns, wanted) = ([UInt64](), [UInt64]())
    func mapWanted() {
      // Those of a batch may all have been given back.
      if !wanted.isEmpty, let mapped = try? mapper.map(wanted, of: domain) {
        frames.append((pfns, mapped))
      }
      (pfns, wanted) = ([], [])
    }
    do throws(StoreError) {
      let tree = try FrameTree(
        FrameTree.Root(parsing: root), of: domain, limit: limit, mapper: mapper)
      try tree.forEachFrame(mapper: mapper) { pfn, frame in
        pfns.append(UInt64(pfn))
        wanted.append(frame)
        if wanted.count == Self.batch { mapWanted() }
      }
    } catch {
      throw RunFailure("what the guest cannot page out is not to be had: \(error)")
    }
    mapWanted()
    pages = frames.reduce(0) { $0 + $1.pfns.count }
    self.frames = frames
  }

  /// Sends what has changed since the last time, or all.
  ///
  /// - Parameter each: told several times which share of the pages has been looked at; may throw.
  func send(
    by image: inout ImageSender, each: (Double) throws(RunFailure) -> Void
  ) throws(RunFailure) {
    var seen = 0
    for (pfns, mapped) in frames {
      try each(Double(seen) / Double(pages))
      for (index, pfn) in pfns.enumerated() where mapped.errors[index] == 0 {
        guard image.sendAhead(pfn: pfn, mapped.base + index * ForeignMemory.frameBytes) else {
          throw RunFailure("the connection to the target broke")
        }
      }
      seen += pfns.count
    }
  }
}
