// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc

/// One process's share of a run.
public struct WorkerTask: Sendable, Equatable {
  /// What to do.
  public var kind: WorkloadKind
  /// How much memory to do it on, in pages.
  public var pages: Int
  /// How often.
  public var passes: Int
  /// The seed of this process.
  public var seed: UInt64
  /// Whether the kernel may use huge pages.
  public var hugePages: Bool
  /// Whether the data is to be such as compresses well.
  public var compressible: Bool

  /// A task of the given values.
  public init(
    kind: WorkloadKind, pages: Int, passes: Int, seed: UInt64, hugePages: Bool,
    compressible: Bool
  ) {
    self.kind = kind
    self.pages = pages
    self.passes = passes
    self.seed = seed
    self.hugePages = hugePages
    self.compressible = compressible
  }

  /// Runs the task and reports on `output`, a pipe: that it is ready, progress now and then, and
  /// the outcome last. Waits before it starts until `input` ends, so that all start together.
  ///
  /// - Returns: whether the data was right and the report could be written.
  public func run(input: Int32, output: Int32) -> Bool {
    let memory: MappedMemory
    do {
      memory = try MappedMemory(pages: pages, hugePages: hugePages)
    } catch {
      let text = "cannot map \(ByteSize(bytes: UInt64(pages * pageBytes))): \(error)"
      _ = WorkerMessage.failed(text).write(to: output)
      return false
    }
    guard WorkerMessage.ready.write(to: output) else { return false }
    waitForEnd(of: input)
    switch kind {
    case .quicksort: return run(Quicksort(memory, seed: seed, compressible: compressible), output)
    case .seqread:
      return run(SequentialRead(memory, seed: seed, compressible: compressible), output)
    case .seqwrite:
      return run(SequentialWrite(memory, seed: seed, compressible: compressible), output)
    case .stride: return run(Strided(memory, seed: seed, compressible: compressible), output)
    case .hash: return run(HashTable(memory, seed: seed, compressible: compressible), output)
    }
  }

  private func run<W: Workload & ~Copyable>(_ workload: consuming W, _ output: Int32) -> Bool {
    var workload = workload
    var meter = Meter(units: W.units(pages: pages, passes: passes)) { units in
      // A lost reader shows again at the outcome; progress is not worth ending for.
      _ = WorkerMessage.progress(units).write(to: output)
    }
    var outcome = WorkerOutcome()
    let start = monotonicNs()
    workload.fill(&meter)
    let filled = monotonicNs()
    outcome.fillNs = filled - start
    do throws(WrongData) {
      for pass in 0..<passes { try workload.work(pass: pass, &meter) }
      let worked = monotonicNs()
      outcome.workNs = worked - filled
      try workload.verify(&meter)
      outcome.verifyNs = monotonicNs() - worked
    } catch {
      _ = WorkerMessage.failed("wrong data: \(error)").write(to: output)
      return false
    }
    outcome.touches = meter.touches
    outcome.latency = meter.latency
    return WorkerMessage.done(outcome).write(to: output)
  }

  private func waitForEnd(of descriptor: Int32) {
    var byte: UInt8 = 0
    while true {
      let count = read(descriptor, &byte, 1)
      if count == 0 || count < 0 && errno != EINTR { return }
    }
  }
}
