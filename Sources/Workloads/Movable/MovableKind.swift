// SPDX-License-Identifier: Apache-2.0

/// The programs that can move, by name.
public enum MovableKind: String, Sendable, CaseIterable {
  /// Reads pages in order of address, pass after pass: the paper's stress test (section 5.1).
  case sequentialRead = "sequential"
  /// Rewrites pages in order of address, pass after pass.
  case sequentialWrite = "sequential-write"
  /// ``MovableQuicksort``.
  case quicksort
  /// ``StrideOrder``.
  case stride
  /// ``ZipfOrder``.
  case zipf
  /// ``HashServer``.
  case hash
  /// ``PointerChase``.
  case chase
  /// ``TraceOrder``.
  case trace
  /// ``HotColdOrder``.
  case hotcold
  /// ``RandomOrder``.
  case random

  /// What it does, in a few words.
  public var summary: String {
    switch self {
    case .sequentialRead: "read pages in order"
    case .sequentialWrite: "rewrite pages in order"
    case .quicksort: "sort random 64-bit numbers"
    case .stride: "go through memory in four interleaved strides"
    case .zipf: "read and rewrite pages with a Zipf skew"
    case .hash: "serve lookups, inserts, updates and deletes from a hash table"
    case .chase: "follow pointers through all pages in a random order"
    case .trace: "replay the page touches of a recorded program"
    case .hotcold: "read and rewrite pages, nine times in ten in a hot tenth"
    case .random: "read and rewrite pages at random"
    }
  }

  /// The program before its first step. It touches nothing yet.
  ///
  /// - Parameter trace: what ``trace`` replays; the others take none.
  /// - Throws: ``BadProgram`` when a parameter is out of bounds or the trace is missing.
  public func make(
    _ parameters: MovableParameters, trace: PageTrace? = nil
  ) throws(BadProgram) -> any MovableProgram {
    if let fault = parameters.fault { throw BadProgram("the program has \(fault)") }
    switch self {
    case .sequentialRead:
      return PageProgram(self, parameters, SequentialOrder(parameters, writes: false))
    case .sequentialWrite:
      return PageProgram(self, parameters, SequentialOrder(parameters, writes: true))
    case .quicksort: return MovableQuicksort(parameters)
    case .stride: return PageProgram(self, parameters, StrideOrder(parameters))
    case .zipf: return PageProgram(self, parameters, ZipfOrder(parameters))
    case .hash: return HashServer(parameters)
    case .chase: return PointerChase(parameters)
    case .trace:
      guard let trace else { throw BadProgram("a program that replays a trace needs one") }
      var own = parameters
      own.pages = trace.pages
      return PageProgram(self, own, TraceOrder(own, trace))
    case .hotcold: return PageProgram(self, parameters, HotColdOrder(parameters))
    case .random: return PageProgram(self, parameters, RandomOrder(parameters))
    }
  }

  /// The program that ``MovableProgram/state`` gave as `state`, whichever kind it is.
  ///
  /// - Parameter trace: the trace that it was replaying, when it was.
  /// - Throws: ``BadProgram`` when these are not bytes that a program gave, whole and unchanged.
  public static func restore(
    _ state: [UInt8], trace: PageTrace? = nil
  ) throws(BadProgram) -> any MovableProgram {
    var words = try StateReader(state)
    switch words.kind {
    case .quicksort: return try MovableQuicksort(&words)
    case .hash: return try HashServer(&words)
    case .chase: return try PointerChase(&words)
    case .sequentialRead:
      return try PageProgram(&words, SequentialOrder(words.parameters, writes: false))
    case .sequentialWrite:
      return try PageProgram(&words, SequentialOrder(words.parameters, writes: true))
    case .stride: return try PageProgram(&words, StrideOrder(words.parameters))
    case .zipf: return try PageProgram(&words, ZipfOrder(words.parameters))
    case .hotcold: return try PageProgram(&words, HotColdOrder(words.parameters))
    case .random: return try PageProgram(&words, RandomOrder(words.parameters))
    case .trace:
      guard let trace else {
        throw BadProgram("the state of a program that replays a trace needs it")
      }
      guard trace.pages == words.parameters.pages else {
        throw BadProgram(
          "the state is of a trace of \(words.parameters.pages) pages, not \(trace.pages)")
      }
      return try PageProgram(&words, TraceOrder(words.parameters, trace))
    }
  }
}
