// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Control
import Glibc

struct Stats: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show a device's counters since it was attached, or its rates as they are.",
    discussion: """
      With --watch, one line a device and interval: pages read and written, requests to discard \
      and retransmissions a second, requests in flight, and the latency of the interval's \
      requests (since attachment where debugfs is not mounted).
      """)

  @Argument(help: "The device, as memx0 or /dev/memx0. Left out, all that are attached.")
  var device: DeviceName?

  @Flag(help: "Print rates, a line every second, until interrupted.")
  var watch = false

  @Option(
    help: ArgumentHelp(
      "With --watch: seconds between lines, 0.1 to 3600 (default: 1).", valueName: "seconds"),
    transform: Word.intervalMs)
  var interval: Int?

  @Option(
    help: ArgumentHelp("With --watch: stop after so many lines a device.", valueName: "n"),
    transform: { try Word.number($0, in: 1...1_000_000_000, unit: "lines") })
  var count: Int?

  @OptionGroup var output: Output

  func validate() throws {
    if !watch, interval != nil || count != nil {
      throw ValidationError("--interval and --count say how to watch; give --watch with them")
    }
  }

  func run() throws {
    let files = KernelFiles.fromEnvironment()
    try output.report { () throws(Failure) in
      if watch { try watchRates(files) } else { try printTotals(files) }
    }
  }

  private static let nothingAttached = "No device is attached; see memxctl attach --help."

  private func printTotals(_ files: KernelFiles) throws(Failure) {
    let samples = try samples(files)
    if output.json {
      for (device, sample) in samples { printLine(sample.json(device).line) }
    } else if samples.isEmpty {
      printLine(Self.nothingAttached, to: 2)
    } else {
      for line in Sample.table(samples) { printLine(line) }
    }
  }

  private func watchRates(_ files: KernelFiles) throws(Failure) {
    var earlier = try samples(files)
    guard !earlier.isEmpty else {
      printLine(Self.nothingAttached, to: 2)
      return
    }
    var deadline = timespec()
    clock_gettime(CLOCK_MONOTONIC, &deadline)
    var lines = 0
    for round in 0..<(count ?? Int.max) {
      if !output.json, round == 0 || lines >= 20 {
        lines = 0
        guard printLine(Rates.header) else { return }
      }
      let nextNs = deadline.tv_nsec + (interval ?? 1000) % 1000 * 1_000_000
      deadline.tv_sec += (interval ?? 1000) / 1000 + nextNs / 1_000_000_000
      deadline.tv_nsec = nextNs % 1_000_000_000
      while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, nil) == EINTR {}
      let later = try samples(files)
      for (device, sample) in later {
        guard let before = earlier.first(where: { $0.0 == device })?.1,
          let rates = Rates(device, from: before, to: sample)
        else { continue }
        lines += 1
        guard printLine(output.json ? rates.json.line : rates.line) else { return }
      }
      earlier = later
    }
  }

  private func samples(_ files: KernelFiles) throws(Failure) -> [(DeviceName, Sample)] {
    var samples: [(DeviceName, Sample)] = []
    for name in try files.chosen(device) { samples.append((name, try Sample.take(name, files))) }
    return samples
  }
}
