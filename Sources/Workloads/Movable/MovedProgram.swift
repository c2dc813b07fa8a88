// SPDX-License-Identifier: Apache-2.0

/// What a program would still do if it moved at some moment, and what was known of its pages then, page by
/// page: what a simulator runs in its place.
public struct MovedProgram: Sendable {
  /// A page that the program uses.
  public struct Use: Sendable, Equatable {
    public var page: Int
    /// The work until the next use, in steps; for a trace, in instructions.
    public var work: Int
  }

  /// The pages of its memory.
  public let pages: Int
  /// How many uses there are after the move.
  public let count: Int
  /// The pages used in each interval before the move, the first interval first: halvings, as a kernel that ages
  /// pages would know them.
  public let intervals: [[Int]]
  private let use: @Sendable (Int) -> Use

  /// Use `index` after the move, counted from 0.
  public subscript(index: Int) -> Use { use(index) }

  /// The program of a kind.
  ///
  /// Kinds whose order of pages is a function give each use, without any memory. Those whose order
  /// depends on their data (quicksort, hash, chase) are run once, and give each page's first touch after
  /// the move, with the steps between two of them known to within `resolution`.
  ///
  /// - Parameters:
  ///   - stopAt: the part of the work, filling aside, before the move: 0 to below 1.
  ///   - isAged: whether `intervals` are wanted.
  /// - Throws: ``BadProgram``, ``WrongData`` or ``TouchRecorder/Failure``.
  public init(
    _ kind: MovableKind, _ parameters: MovableParameters, trace: PageTrace? = nil, stopAt: Double,
    isAged: Bool
  ) throws {
    var program = try kind.make(parameters, trace: trace)
    let work = program.totalSteps - program.fillSteps
    let moved = program.fillSteps + Int(Double(work) * stopAt)
    let ends = isAged ? RecencyIntervals.halving(8).ends(steps: moved) : [moved]
    pages = program.pages
    if let order = kind.order(parameters, trace: trace) {
      let rest = program.totalSteps - moved
      let first = moved - program.fillSteps
      count = rest
      use = order.uses(from: first)
      intervals = isAged ? order.intervals(ends: ends, pages: program.pages) : []
      return
    }
    let recorder = try TouchRecorder(pages: pages)
    var intervals: [[Int]] = []
    for end in ends {
      try recorder.arm()
      _ = try program.run(recorder.memory, steps: end - program.stepsDone)
      if isAged { intervals.append(recorder.touched) }
    }
    try recorder.arm()
    /// Steps at which each page was first touched, counted from the move.
    var starts: [Int] = []
    var isDone = false
    while !isDone {
      isDone = try program.run(recorder.memory, steps: Self.resolution)
      let touched = recorder.count
      while starts.count < touched { starts.append(program.stepsDone - moved) }
    }
    let touched = recorder.touched
    let end = program.stepsDone - moved
    let uses = touched.indices.map { index in
      Use(
        page: touched[index],
        work: (index + 1 < starts.count ? starts[index + 1] : end) - starts[index])
    }
    self.intervals = intervals
    count = uses.count
    use = { uses[$0] }
  }

  /// Steps between two looks at what a program has touched.
  static let resolution = 4
}

extension MovableKind {
  /// In which order it uses its pages, nil when that depends on its data.
  fileprivate func order(_ parameters: MovableParameters, trace: PageTrace?) -> (any PageOrder)? {
    switch self {
    case .sequentialRead: SequentialOrder(parameters, writes: false)
    case .sequentialWrite: SequentialOrder(parameters, writes: true)
    case .stride: StrideOrder(parameters)
    case .zipf: ZipfOrder(parameters)
    case .hotcold: HotColdOrder(parameters)
    case .random: RandomOrder(parameters)
    case .trace: trace.map { TraceOrder(parameters, $0) }
    case .quicksort, .hash, .chase: nil
    }
  }
}

extension PageOrder {
  fileprivate func uses(from first: Int) -> @Sendable (Int) -> MovedProgram.Use {
    { MovedProgram.Use(page: use(first + $0).page, work: work(first + $0)) }
  }

  /// The pages that are filled and used in each interval.
  fileprivate func intervals(ends: [Int], pages: Int) -> [[Int]] {
    var start = 0
    return ends.map { end in
      var isUsed = [Bool](repeating: false, count: pages)
      for step in start..<end { isUsed[step < pages ? step : use(step - pages).page] = true }
      start = end
      return isUsed.indices.filter { isUsed[$0] }
    }
  }
}
