// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP
import Xen

/// The pages of a region that lie in another domain's machine frames, where its module has left them; the paper's
/// pseudo-paging, seen from dom0.
///
/// They can be read and discarded, not written. All frames are mapped at the start and stay mapped until the end,
/// after the last reply that points to one. Used by one engine at a time.
public struct ForeignPages: ~Copyable {
  /// The domain whose frames these are.
  public let domain: Int
  public let slots: UInt64
  /// The generation of the frame tree: whoever maps the same tree again has the same store.
  public let incarnation: UInt64
  /// Slots that hold a page.
  public private(set) var stored: Int
  /// Of these, slots whose frame could not be mapped, and the `errno` of the last.
  public private(set) var unreadable: Int
  public let lastError: Int32

  /// Entry `slot`: where its page lies, or one of the two below.
  private let addresses: UnsafeMutablePointer<UInt>
  private let mapping: Mapping
  private let frames: [MappedFrames]

  private static let empty: UInt = 0
  private static let failed: UInt = 1
  /// Frames that are mapped together: few enough for one call of the kernel, enough to share its cost.
  private static let batch = 512

  /// Maps the frames of a tree.
  ///
  /// Takes a hypercall for each 512 frames, and 8 bytes of memory for each slot.
  ///
  /// - Throws: ``StoreError`` when the tree cannot be read or trusted, or a whole batch cannot be mapped.
  public init(_ tree: FrameTree, mapper: some FrameMapper) throws(StoreError) {
    let mapping = try Mapping(anonymous: Int(tree.slots) * MemoryLayout<UInt>.stride)
    let addresses = mapping.base.bindMemory(to: UInt.self, capacity: Int(tree.slots))
    var (frames, unreadable, lastError) = ([MappedFrames](), 0, Int32(0))
    var wanted: [(slot: Int, frame: UInt64)] = []
    wanted.reserveCapacity(Self.batch)

    func mapWanted() throws(StoreError) {
      let mapped: MappedFrames
      do { mapped = try mapper.map(wanted.map(\.frame), of: tree.domain) } catch {
        throw StoreError("\(error)")
      }
      frames.append(mapped)
      for (index, (slot, _)) in wanted.enumerated() {
        if mapped.errors[index] == 0 {
          addresses[slot] = UInt(bitPattern: mapped.base + index * Wire.pageBytes)
        } else {
          addresses[slot] = Self.failed
          unreadable += 1
          lastError = mapped.errors[index]
        }
      }
      wanted.removeAll(keepingCapacity: true)
    }

    try tree.forEachFrame(mapper: mapper) { slot, frame throws(StoreError) in
      wanted.append((slot, frame))
      if wanted.count == Self.batch { try mapWanted() }
    }
    if !wanted.isEmpty { try mapWanted() }
    (domain, slots, incarnation) = (tree.domain, tree.slots, tree.generation)
    stored = tree.used
    (self.unreadable, self.lastError) = (unreadable, lastError)
    self.frames = frames
    self.addresses = addresses
    self.mapping = mapping
  }

  /// A client whose data is in another incarnation has none here.
  public func settle(incarnation: UInt64) -> Result<Bool, Refusal> {
    incarnation == 0 || incarnation == self.incarnation
      ? .success(false) : .failure(Refusal(.lost))
  }

  /// What a slot holds. A page stays in place as long as this lives.
  public func load(_ slot: UInt64) -> StoredPage {
    let address = addresses[Int(slot)]
    if address > Self.failed {
      return .page(UnsafeRawPointer(bitPattern: address)!, PageHashes())
    }
    return address == Self.empty ? .zeros : .unreadable
  }

  /// The client does not need `count` slots from `slot` on: they read as zeros.
  public mutating func clear(_ slot: UInt64, count: Int) {
    for index in Int(slot)..<Int(slot) + count where addresses[index] != Self.empty {
      stored -= 1
      if addresses[index] == Self.failed { unreadable -= 1 }
      addresses[index] = Self.empty
    }
  }

  /// Calls `body` for each run of slots next to one another whose pages can be read, ascending.
  public func forEachReadableRun(_ body: (Range<Int>) -> Void) {
    var first: Int?
    for slot in 0..<Int(slots) {
      if addresses[slot] > Self.failed {
        if first == nil { first = slot }
      } else if let begin = first {
        body(begin..<slot)
        first = nil
      }
    }
    if let first { body(first..<Int(slots)) }
  }
}
