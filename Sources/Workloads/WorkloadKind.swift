// SPDX-License-Identifier: Apache-2.0

/// The workloads by name.
public enum WorkloadKind: String, Sendable, CaseIterable {
  /// ``Quicksort``.
  case quicksort
  /// ``SequentialRead``.
  case seqread
  /// ``SequentialWrite``.
  case seqwrite
  /// ``Strided``.
  case stride
  /// ``HashTable``.
  case hash

  /// What it does, in a few words.
  public var summary: String {
    switch self {
    case .quicksort: "sort random 64-bit numbers"
    case .seqread: "read pages in order"
    case .seqwrite: "write pages in order"
    case .stride: "read and rewrite every 17th page"
    case .hash: "get and put in a hash table with a Zipf skew"
    }
  }

  /// How many units of work a run has.
  public func units(pages: Int, passes: Int) -> Int {
    switch self {
    case .quicksort: Quicksort.units(pages: pages, passes: passes)
    case .seqread: SequentialRead.units(pages: pages, passes: passes)
    case .seqwrite: SequentialWrite.units(pages: pages, passes: passes)
    case .stride: Strided.units(pages: pages, passes: passes)
    case .hash: HashTable.units(pages: pages, passes: passes)
    }
  }
}
