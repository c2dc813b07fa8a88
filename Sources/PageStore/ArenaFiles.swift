// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP
import SystemPackage

/// The files of an arena that outlives its process: `arena` (a header), `frames`, `hashes`, and
/// `NAME.slots` for each region.
///
/// A process that is killed leaves them whole: each slot changes by one store, made after the page it
/// points to. A machine that goes down does not, unless the arena was closed cleanly; then the pages
/// are gone, and say so through a new incarnation.
final class ArenaFiles: @unchecked Sendable {
  // Invariant behind @unchecked: used by one thread while the server starts and stops; the header
  // is written by that thread alone.

  private struct ArenaHeader {
    var magic: UInt64 = 0
    var arenaID: UInt64 = 0
    var chunkCount: UInt64 = 0
    var bootID = BootID(high: 0, low: 0)
    var clean: UInt64 = 0
  }

  /// At the start of a region's `NAME.slots`, one page long; the slot map follows.
  struct SlotsHeader {
    var magic: UInt64 = 0
    var arenaID: UInt64 = 0
    var incarnation: UInt64 = 0
    var slots: UInt64 = 0
    /// An earlier incarnation's data is gone: unwritten slots are lost, not zeros.
    var lost: UInt64 = 0
  }

  /// The frames that one region's file names.
  struct OwnedFrames {
    var name: String
    var slots: UInt64
    var frames: [Int]
  }

  static let magic: UInt64 = 0x3161_6e65_7261_786d  // "mxarena1"

  let directory: FilePath
  private(set) var ownership: [OwnedFrames] = []
  /// The files were made new.
  private(set) var isNew = false
  private let header: Mapping
  private let bootID: BootID
  private let lockFile: OpenFile

  init(directory: FilePath, chunkCount: Int, bootID: BootID) throws {
    self.directory = directory
    self.bootID = bootID
    if mkdir(directory.string, 0o700) != 0, errno != EEXIST {
      throw StoreError.system("cannot make the arena's directory \(directory)")
    }
    lockFile = try OpenFile(directory.appending("arena"))
    guard lockFile.lock() else {
      throw StoreError(
        "\(directory): another process has this arena open; stop it, or name another directory")
    }
    // hugetlbfs takes only whole huge pages, and a mapping of one for a header does no harm.
    header = try Mapping(file: lockFile.descriptor, byteCount: Arena.chunkBytes)
    let at = header.base.bindMemory(to: ArenaHeader.self, capacity: 1)
    guard at.pointee.magic == Self.magic || at.pointee.magic == 0 else {
      throw StoreError(
        "\(directory)/arena: is not an arena's header; name another directory, or remove this one")
    }
    let sameBoot = at.pointee.bootID == bootID
    if at.pointee.magic == Self.magic, sameBoot || at.pointee.clean == 1 {
      guard at.pointee.chunkCount == UInt64(chunkCount) else {
        throw StoreError(
          "\(directory): holds an arena of \(at.pointee.chunkCount * 2) MiB, not of \(chunkCount * 2)"
            + " MiB; start with that size, or remove the directory and the pages in it")
      }
      ownership = try slotsFiles().compactMap { try ownedFrames($0, arenaID: at.pointee.arenaID) }
      if ownership.contains(where: { !$0.frames.isEmpty }) {
        try checkSize("frames", byteCount: chunkCount * Arena.chunkBytes)
        try checkSize("hashes", byteCount: chunkCount * Arena.chunkFrames * Arena.hashBytes)
      }
    } else {
      for file in try slotsFiles() + ["frames", "hashes"] {
        unlink(directory.appending(file).string)
      }
      isNew = true
      at.pointee = ArenaHeader(
        magic: Self.magic, arenaID: .random(in: 1 ... .max), chunkCount: UInt64(chunkCount),
        bootID: bootID)
    }
  }

  var arenaID: UInt64 { header.base.load(as: ArenaHeader.self).arenaID }

  func markInUse() {
    let at = header.base.assumingMemoryBound(to: ArenaHeader.self)
    at.pointee.bootID = bootID
    at.pointee.clean = 0
    header.synchronize()
  }

  func markClean() {
    header.base.assumingMemoryBound(to: ArenaHeader.self).pointee.clean = 1
    header.synchronize()
  }

  /// Maps a file of the arena, made if it is not there.
  func map(_ name: String, byteCount: Int, options: MemoryOptions) throws -> Mapping {
    let file = try OpenFile(directory.appending(name))
    // Whole huge pages, for hugetlbfs.
    let rounded = (byteCount + Arena.chunkBytes - 1) / Arena.chunkBytes * Arena.chunkBytes
    do {
      return try Mapping(file: file.descriptor, byteCount: rounded, options: options)
    } catch let error as StoreError {
      throw StoreError("\(directory.appending(name)): \(error)")
    }
  }

  static func slotsName(_ region: RegionName) -> String { "\(region).slots" }

  /// The slots that a region's file from an earlier life has; nil when there is none.
  func formerSlots(_ region: RegionName) -> UInt64? {
    ownership.first { $0.name == Self.slotsName(region) }?.slots
  }

  /// Forgets which frames the regions' files name, once the arena has noted them.
  func forgetFrames() {
    for index in ownership.indices { ownership[index].frames = [] }
  }

  /// A file that went, or was cut short, would read as zeros.
  private func checkSize(_ name: String, byteCount: Int) throws {
    let path = directory.appending(name)
    var info = stat()
    guard stat(path.string, &info) == 0, Int(info.st_size) >= byteCount else {
      throw StoreError(
        "\(path): is damaged: it should have \(byteCount) bytes; restore it, or remove the arena's"
          + " directory and the pages in it")
    }
  }

  private func slotsFiles() throws -> [String] {
    guard let listing = opendir(directory.string) else {
      throw StoreError.system("cannot list \(directory)")
    }
    defer { closedir(listing) }
    var names: [String] = []
    while let entry = readdir(listing) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(".slots") { names.append(name) }
    }
    return names.sorted()
  }

  /// Reads which frames a region's file names.
  private func ownedFrames(_ name: String, arenaID: UInt64) throws -> OwnedFrames? {
    let path = directory.appending(name)
    let file = try OpenFile(path)
    var info = stat()
    guard fstat(file.descriptor.rawValue, &info) == 0 else {
      throw StoreError.system("cannot stat \(path)")
    }
    let byteCount = Int(info.st_size)
    // A process that was killed while it made the file.
    guard byteCount > 0 else { return nil }
    let remedy = "restore it, or remove it and the pages in it"
    guard byteCount > Wire.pageBytes else {
      throw StoreError("\(path): is damaged: it has \(byteCount) bytes; \(remedy)")
    }
    let mapping = try Mapping(file: file.descriptor, byteCount: byteCount)
    let header = mapping.base.load(as: SlotsHeader.self)
    if header.magic == 0 { return nil }
    guard header.magic == Self.magic else {
      throw StoreError("\(path): is damaged: it is not a slot map; \(remedy)")
    }
    guard header.arenaID == arenaID else {
      throw StoreError("\(path): is of another arena; \(remedy)")
    }
    guard header.slots <= UInt64(byteCount - Wire.pageBytes) / 4 else {
      throw StoreError(
        "\(path): is damaged: it has \(byteCount) bytes, too few for \(header.slots) slots; \(remedy)"
      )
    }
    let slots = (mapping.base + Wire.pageBytes).assumingMemoryBound(to: UInt32.self)
    var frames: [Int] = []
    for slot in 0..<Int(header.slots) {
      let entry = slots[slot]
      if entry != SlotMap.empty, entry != SlotMap.knownZero { frames.append(Int(entry) - 1) }
    }
    return OwnedFrames(name: name, slots: header.slots, frames: frames)
  }
}
