// SPDX-License-Identifier: Apache-2.0

extension MovableProgram {
  /// The pages that the program touches from here to its end, in the order of the first touches:
  /// those that a program which moves now needs, each a network fault or a minor one. The rest of
  /// the run is made on a copy.
  ///
  /// - Parameter memory: the program's memory as it is now.
  /// - Throws: ``WrongData``, or ``TouchRecorder/Failure``.
  public func firstTouches(_ memory: UnsafeRawPointer) throws -> [Int] {
    let recorder = try TouchRecorder(pages: pages)
    recorder.memory.copyMemory(from: memory, byteCount: pages * pageBytes)
    var copy = self
    try recorder.arm()
    while try !copy.run(recorder.memory, steps: 1 << 20) {}
    return recorder.touched
  }

  /// Runs the program, which has done no step yet, for `steps` steps on scratch memory, and gives
  /// what a kernel that ages pages in generations would know of their order then.
  ///
  /// - Throws: ``WrongData``, or ``TouchRecorder/Failure``.
  public func recency(
    after steps: Int, intervals: RecencyIntervals = .halving(8)
  ) throws -> Recency {
    precondition(stepsDone == 0, "recency is recorded from the start")
    let recorder = try TouchRecorder(pages: pages)
    var copy = self
    var recency = Recency(pages: pages)
    var done = 0
    for end in intervals.ends(steps: steps) {
      try recorder.arm()
      _ = try copy.run(recorder.memory, steps: end - done)
      recency.age(touched: recorder.touched)
      done = end
    }
    return recency
  }
}
