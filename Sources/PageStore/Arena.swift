// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import RMAP
import Synchronization
import SystemPackage

/// The memory that all regions' pages live in.
///
/// It is cut into chunks of 512 page frames (2 MiB, a huge page). A chunk belongs to one region at a
/// time; it is cleared when the region gives it back, so no region ever sees another's bytes. Only
/// taking and giving back a chunk, once in 512 pages, passes the lock.
public final class Arena: @unchecked Sendable {
  // Invariant behind @unchecked: what belongs to a chunk (its frames, hashes and `ChunkState`) is
  // touched only by the region that has the chunk, and a region only by the engine that claimed it.
  // All else is constant after init, or inside `free`.

  /// Page frames in a chunk.
  public static let chunkFrames = 512
  static let chunkBytes = chunkFrames * Wire.pageBytes
  static let hashBytes = MemoryLayout<PageHashes>.stride

  /// Which frames of a chunk are in use, and its place in its region's list.
  struct ChunkState {
    var used: Int32 = 0
    var next: Int32 = -1
    var previous: Int32 = -1
    var words = (
      UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0)
    )
  }

  /// Chunks that the arena has.
  public let chunkCount: Int
  let frames: UnsafeMutableRawPointer
  let hashes: UnsafeMutablePointer<PageHashes>
  let chunks: UnsafeMutablePointer<ChunkState>
  let files: ArenaFiles?
  private let frameMapping: Mapping
  private let hashMapping: Mapping
  private let free: Mutex<FreeChunks>
  /// Chunks that regions of an earlier life have; of use while their files are read.
  private var adopted = Set<Int>()

  private struct FreeChunks: ~Copyable {
    let stack: UnsafeMutablePointer<UInt32>
    var count: Int
  }

  /// An arena in anonymous memory, gone with the process.
  ///
  /// - Parameter byteCount: rounded up to whole chunks.
  public convenience init(byteCount: Int, options: MemoryOptions = MemoryOptions()) throws {
    let chunkCount = Self.chunks(for: byteCount)
    try self.init(
      chunkCount: chunkCount, files: nil,
      frames: Mapping(anonymous: chunkCount * Self.chunkBytes, options: options),
      hashes: Mapping(
        anonymous: chunkCount * Self.chunkFrames * Self.hashBytes,
        options: MemoryOptions(hugePages: false, lock: options.lock)))
  }

  /// An arena in files in a directory, which a server that starts again takes over.
  ///
  /// On tmpfs or hugetlbfs it is memory like any other. Only one process may have it open.
  ///
  /// - Parameters:
  ///   - byteCount: rounded up to whole chunks; an arena that is there must have the same.
  ///   - directory: made if it is not there.
  ///   - options: how the memory is to be had.
  ///   - bootID: of the running system, unless said otherwise.
  /// - Throws: `StoreError` when the files are another's, damaged, or of another size.
  public convenience init(
    byteCount: Int, directory: FilePath, options: MemoryOptions = MemoryOptions(),
    bootID: BootID? = nil
  ) throws {
    let chunkCount = Self.chunks(for: byteCount)
    let files = try ArenaFiles(
      directory: directory, chunkCount: chunkCount, bootID: bootID ?? BootID.current())
    try self.init(
      chunkCount: chunkCount, files: files,
      frames: files.map(
        "frames", byteCount: chunkCount * Self.chunkBytes, options: options),
      hashes: files.map(
        "hashes", byteCount: chunkCount * Self.chunkFrames * Self.hashBytes,
        options: MemoryOptions(hugePages: false, lock: options.lock)))
    for slots in files.ownership { try adopt(slots) }
    files.forgetFrames()
    adopted = []
    if !files.isNew { clearFreeChunks() }
  }

  private static func chunks(for byteCount: Int) -> Int {
    max(1, (byteCount + chunkBytes - 1) / chunkBytes)
  }

  private init(
    chunkCount: Int, files: ArenaFiles?, frames: consuming Mapping, hashes: consuming Mapping
  ) throws {
    self.chunkCount = chunkCount
    self.files = files
    self.frames = frames.base
    self.hashes = hashes.base.bindMemory(
      to: PageHashes.self, capacity: chunkCount * Self.chunkFrames)
    frameMapping = frames
    hashMapping = hashes
    chunks = .allocate(capacity: chunkCount)
    chunks.initialize(repeating: ChunkState(), count: chunkCount)
    let stack = UnsafeMutablePointer<UInt32>.allocate(capacity: chunkCount)
    for index in 0..<chunkCount { stack[index] = UInt32(chunkCount - 1 - index) }
    free = Mutex(FreeChunks(stack: stack, count: chunkCount))
  }

  deinit {
    chunks.deallocate()
    free.withLock { $0.stack.deallocate() }
  }

  /// Bytes of pages that the arena can hold.
  public var byteCount: Int { chunkCount * Self.chunkBytes }

  /// Chunks that no region has.
  public var freeChunks: Int { free.withLock { $0.count } }

  /// A chunk for a region, all zeros; nil when there is none left.
  func takeChunk() -> Int? {
    free.withLock { free in
      guard free.count > 0 else { return nil }
      free.count -= 1
      return Int(free.stack[free.count])
    }
  }

  /// Chunks that lie one behind the other, all zeros; the first of them, nil when there are not so many.
  ///
  /// Of use before regions have cut the arena up.
  func takeChunks(_ count: Int) -> Int? {
    free.withLock { free in
      let chunks = (0..<free.count).map { Int(free.stack[$0]) }.sorted()
      guard count > 0, chunks.count >= count,
        let first = (0...chunks.count - count).first(where: {
          chunks[$0 + count - 1] - chunks[$0] == count - 1
        })
      else { return nil }
      let taken = chunks[first]..<chunks[first] + count
      var kept = 0
      for index in 0..<free.count where !taken.contains(Int(free.stack[index])) {
        free.stack[kept] = free.stack[index]
        kept += 1
      }
      free.count = kept
      return taken.lowerBound
    }
  }

  /// Takes a chunk back from its region, cleared.
  func giveChunk(_ chunk: Int) {
    frameMapping.clear(offset: chunk * Self.chunkBytes, count: Self.chunkBytes)
    chunks[chunk] = ChunkState()
    free.withLock { free in
      free.stack[free.count] = UInt32(chunk)
      free.count += 1
    }
  }

  /// Clears what no region has: a process that was killed may have left pages there that were
  /// discarded, or belonged to a region that is gone.
  private func clearFreeChunks() {
    free.withLock { free in
      for index in 0..<free.count {
        let chunk = Int(free.stack[index])
        frameMapping.clear(offset: chunk * Self.chunkBytes, count: Self.chunkBytes)
      }
    }
  }

  /// Marks the frames of a region's file from an earlier life as used, and their chunks as taken.
  private func adopt(_ slots: ArenaFiles.OwnedFrames) throws {
    var taken = Set<Int>()
    for frame in slots.frames {
      guard frame < chunkCount * Self.chunkFrames else {
        throw StoreError(
          "\(slots.name): is damaged: it names frame \(frame), behind the arena's end; remove the"
            + " arena's directory and the pages in it")
      }
      let chunk = frame / Self.chunkFrames
      let word = frame % Self.chunkFrames / 64
      let bit = UInt64(1) << UInt64(frame % 64)
      let isFree = chunks.withWords(chunk) { words in
        defer { words[word] |= bit }
        return words[word] & bit == 0
      }
      guard isFree else {
        throw StoreError(
          "\(slots.name): is damaged: frame \(frame) is in use twice; remove the arena's directory"
            + " and the pages in it")
      }
      chunks[chunk].used += 1
      taken.insert(chunk)
    }
    guard taken.isDisjoint(with: adopted) else {
      throw StoreError(
        "\(slots.name): is damaged: it shares memory with another region; remove the arena's"
          + " directory and the pages in it")
    }
    adopted.formUnion(taken)
    free.withLock { free in
      var kept = 0
      for index in 0..<free.count where !taken.contains(Int(free.stack[index])) {
        free.stack[kept] = free.stack[index]
        kept += 1
      }
      free.count = kept
    }
  }

  /// Notes in the files that pages are about to change: from here on only a clean end, or the next start
  /// before a reboot, finds them whole.
  public func beginUse() { files?.markInUse() }

  /// Writes everything back and marks the files as whole, so that even a reboot keeps them.
  public func closeCleanly() {
    guard let files else { return }
    frameMapping.synchronize()
    hashMapping.synchronize()
    files.markClean()
  }
}

extension UnsafeMutablePointer<Arena.ChunkState> {
  /// The bitmap of a chunk's used frames.
  @inline(__always)
  func withWords<R>(_ chunk: Int, _ body: (UnsafeMutablePointer<UInt64>) -> R) -> R {
    withUnsafeMutableBytes(of: &self[chunk].words) {
      body($0.baseAddress!.assumingMemoryBound(to: UInt64.self))
    }
  }
  /// Notes that a frame has a page.
  func markUsed(_ frame: Int) {
    let chunk = frame / Arena.chunkFrames
    withWords(chunk) { $0[frame % Arena.chunkFrames / 64] |= 1 << UInt64(frame % 64) }
    self[chunk].used += 1
  }
}
