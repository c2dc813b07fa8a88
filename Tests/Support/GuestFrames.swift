// SPDX-License-Identifier: Apache-2.0
import CRMAP
import Synchronization
import Xen

/// A domain's machine frames in ordinary memory, and frame trees over them as a guest's module makes them.
package final class GuestFrames: FrameMapper {
  /// Words in a frame.
  package static let words = 512

  package struct Tree: Sendable {
    package var root: UInt64
    package var generation: UInt64
    package var directories: [UInt64] = []
    package var leaves: [UInt64] = []
    /// The frame of each slot that holds a page.
    package var frames: [Int: UInt64] = [:]
  }

  private struct State {
    var frames: [UInt64: [UInt64]] = [:]
    var nextFrame: UInt64 = 0x1000
    var isGone = false
    var mapped = 0
    var calls = 0
  }

  package let domain: Int
  private let state = Mutex(State())

  package init(domain: Int) { self.domain = domain }

  /// Frames that are mapped now.
  package var mappedCount: Int { state.withLock { $0.mapped } }
  /// How often frames were mapped.
  package var calls: Int { state.withLock { $0.calls } }

  /// A new frame with these words, and zeros behind.
  package func add(_ words: [UInt64] = []) -> UInt64 {
    state.withLock { state in
      state.nextFrame += 7
      state.frames[state.nextFrame] =
        words + Array(repeating: 0, count: Self.words - words.count)
      return state.nextFrame
    }
  }

  package subscript(frame: UInt64, word: Int) -> UInt64 {
    get { state.withLock { $0.frames[frame]![word] } }
    set { state.withLock { $0.frames[frame]![word] = newValue } }
  }

  /// Gives a frame back to Xen: it is nobody's.
  package func release(_ frame: UInt64) {
    state.withLock { state in state.frames[frame] = nil }
  }

  /// The domain is destroyed: nothing of it can be mapped any more.
  package func destroy() { state.withLock { $0.isGone = true } }

  /// A present entry.
  package static func entry(_ frame: UInt64) -> UInt64 {
    frame << UInt64(MEMX_FRAMES_MFN_SHIFT) | UInt64(MEMX_FRAMES_PRESENT)
  }

  /// Makes a tree, and a frame for each page, filled with the word that is given for its slot.
  package func makeTree(slots: UInt64, pages: [Int: UInt64], generation: UInt64 = 0x6E57) -> Tree {
    makeTree(slots: slots, used: Array(pages.keys), generation: generation) {
      Array(repeating: pages[$0]!, count: Self.words)
    }
  }

  /// Makes a tree, and a frame for each of the used slots, with the words that `contents` gives for it.
  package func makeTree(
    slots: UInt64, used: [Int], generation: UInt64 = 0x6E57, contents: (Int) -> [UInt64]
  ) -> Tree {
    var tree = Tree(root: 0, generation: generation)
    var root = [UInt64](repeating: 0, count: Self.words)
    root[0] = MEMX_FRAMES_MAGIC
    root[1] = UInt64(MEMX_FRAMES_VERSION)
    root[2] = generation
    root[3] = slots
    root[4] = UInt64(used.count)
    for (directory, inDirectory) in Self.grouped(used, by: 512 * 512) {
      var directoryWords = [UInt64](repeating: 0, count: Self.words)
      for (leaf, inLeaf) in Self.grouped(inDirectory, by: 512) {
        var leafWords = [UInt64](repeating: 0, count: Self.words)
        for slot in inLeaf {
          let frame = add(contents(slot))
          tree.frames[slot] = frame
          leafWords[slot % 512] = Self.entry(frame)
        }
        tree.leaves.append(add(leafWords))
        directoryWords[leaf % 512] = Self.entry(tree.leaves.last!)
      }
      tree.directories.append(add(directoryWords))
      root[8 + directory] = Self.entry(tree.directories.last!)
    }
    tree.root = add(root)
    return tree
  }

  private static func grouped(_ slots: [Int], by size: Int) -> [(key: Int, value: [Int])] {
    Dictionary(grouping: slots) { $0 / size }.sorted { $0.key < $1.key }
  }

  package func map(_ frames: [UInt64], of domain: Int) throws(XenError) -> MappedFrames {
    let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: frames.count * Self.words)
    memory.initialize(repeating: 0xDEAD, count: frames.count * Self.words)
    let errors: [Int32]? = state.withLock { state in
      guard !state.isGone, domain == self.domain else { return nil }
      state.mapped += frames.count
      state.calls += 1
      return frames.enumerated().map { index, frame in
        guard let words = state.frames[frame] else { return 22 }
        (memory + index * Self.words).update(from: words, count: Self.words)
        return 0
      }
    }
    guard let errors else {
      memory.deallocate()
      throw XenError("cannot map \(frames.count) frames of domain \(domain)", code: 3)
    }
    let (address, count) = (UInt(bitPattern: memory), frames.count)
    return MappedFrames(base: UnsafeRawPointer(memory), errors: errors) { [self] in
      UnsafeMutablePointer<UInt64>(bitPattern: address)!.deallocate()
      state.withLock { $0.mapped -= count }
    }
  }
}
