// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A thread's visit to a page: it needs the page, and then computes.
public struct Touch: Sendable, Equatable {
  public var slot: UInt64
  /// Until the next touch.
  public var compute_ns: UInt64

  public init(slot: UInt64, compute_ns: UInt64) {
    self.slot = slot
    self.compute_ns = compute_ns
  }
}

/// What a guest still does after it has moved.
public struct Program {
  /// Makes the touches of one thread, the same ones each time.
  public typealias Thread = () -> AnyIterator<Touch>

  public var threads: [Thread]
  /// The LRU order at the move, youngest first; empty when it is not known.
  public var order: [Extent]

  public init(threads: [Thread], order: [Extent] = []) {
    self.threads = threads
    self.order = order
  }

  /// A program of one thread that touches slots in a given order, for instance the recorded first touches of a
  /// real one.
  ///
  /// - Parameter compute_ns: after each touch.
  public init(slots: [UInt64], compute_ns: UInt64, order: [Extent] = []) {
    let thread: Thread = {
      var rest = slots.makeIterator()
      return AnyIterator { rest.next().map { Touch(slot: $0, compute_ns: compute_ns) } }
    }
    self.init(threads: [thread], order: order)
  }
}

/// What a guest's programs run on.
public struct MachineModel: Sendable, Equatable {
  /// Processor cores, at least 1.
  public var cores: Int
  /// How long a thread runs while others wait for a core.
  public var slice_ns: UInt64
  /// From a page's arrival until the thread that waited for it is running again.
  public var wake_ns: UInt64

  public init(cores: Int = 2, slice_ns: UInt64 = 1_000_000, wake_ns: UInt64 = 5_000) {
    precondition(cores > 0)
    self.cores = cores
    self.slice_ns = slice_ns
    self.wake_ns = wake_ns
  }
}
