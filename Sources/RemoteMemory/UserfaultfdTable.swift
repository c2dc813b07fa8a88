// SPDX-License-Identifier: Apache-2.0

/// The userfaultfds of a service, by index.
public struct UserfaultfdTable: ~Copyable {
  /// The most that one service has.
  public static var maxCount: Int { 1024 }

  public private(set) var count = 0
  private let entries: UnsafeMutablePointer<Userfaultfd>

  public init() { entries = .allocate(capacity: Self.maxCount) }

  deinit {
    entries.deinitialize(count: count)
    entries.deallocate()
  }

  /// Takes one in.
  ///
  /// - Returns: its index, as an ``Area`` names it.
  @discardableResult
  public mutating func append(
    _ userfaultfd: consuming Userfaultfd
  ) throws(RemoteMemoryError) -> Int {
    guard count < Self.maxCount else {
      throw RemoteMemoryError("a service has at most \(Self.maxCount) userfaultfds")
    }
    (entries + count).initialize(to: userfaultfd)
    count += 1
    return count - 1
  }

  public subscript(index: Int) -> Userfaultfd {
    @inline(__always) _read {
      precondition(index < count)
      yield entries[index]
    }
  }
}
