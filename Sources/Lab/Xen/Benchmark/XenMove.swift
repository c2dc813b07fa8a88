// SPDX-License-Identifier: Apache-2.0

/// What is moved in one case of ``XenBenchmark``: a guest in which a program goes through its memory, as in
/// the paper's section 5.1.
public struct XenMove: Sendable, Hashable {
  /// How much of the guest's memory the program uses.
  public enum WorkingSet: String, CaseIterable, Sendable {
    /// A quarter of the guest's memory.
    case quarter
    /// Four fifths of what the guest has available, which is its memory less the kernel and the lab's own
    /// programs. With nine tenths Linux once killed the program after a stop-and-copy.
    case most

    /// In MiB.
    ///
    /// - Parameter available_mib: what the guest says is available for programs.
    func size_mib(of memory_mib: Int, available_mib: Int) -> Int {
      switch self {
      case .quarter: memory_mib / 4
      case .most: max(1, available_mib * 4 / 5)
      }
    }
  }

  /// What the program does with each page.
  public enum Access: String, CaseIterable, Sendable {
    case read
    case write
  }

  /// The guest's memory, in MiB.
  public let memory_mib: Int
  public let workingSet: WorkingSet
  public let access: Access

  /// As a person reads it.
  public var name: String { "\(memory_mib) MiB, \(workingSet.rawValue), \(access.rawValue)" }
}

/// How a guest is moved.
public enum XenMoveSystem: String, CaseIterable, Sendable {
  /// `xl save | xl restore`.
  case stopAndCopy = "stop-and-copy"
  case demandOnly = "demand-only"
  case push
  case pushLRU = "push+lru"
  case forward = "bubble-forward"
  case forwardLRU = "bubble-forward+lru"
  case dual = "bubble-dual"
  case dualLRU = "bubble-dual+lru"
  case dualMulti = "bubble-dual-multi"
  case dualMultiLRU = "bubble-dual-multi+lru"
  case streams
  case streamsLRU = "streams+lru"

  /// What the paper's Figures 5 to 7 and Table 2 compare, and our own.
  static let compared = [stopAndCopy, push, dualMultiLRU, streamsLRU]

  /// What `memxctl migrate` takes as its strategy; nil when it is not memx that moves the guest.
  var strategy: String? { self == .stopAndCopy ? nil : rawValue }
}
