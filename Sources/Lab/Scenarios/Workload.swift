// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// What guests do with memory they do not have.
enum Workload {
  /// How a run of `memx-bench swap` ended.
  struct Measured: Sendable {
    let time_s: Double
    let fault_p50_us: Double
    let fault_p99_us: Double
  }

  /// The command line of a verified run of `memx-bench swap`.
  static func bench(
    _ workload: String, size_mib: Int, processes: Int = 1, compressible: Bool = false
  ) -> String {
    "memx-bench swap --workload \(workload) --size \(size_mib)M --processes \(processes) --json"
      + (compressible ? " --compressible" : "")
  }

  /// Reads what `memx-bench swap --json` printed.
  ///
  /// - Throws: ``LabError`` when it failed, found wrong data, or printed something else.
  static func measured(_ outcome: Guest.Outcome) throws -> Measured {
    struct Line: Decodable {
      let verified: Bool
      let time_s: Double
      let fault_p50_us: Double?
      let fault_p99_us: Double?
    }
    guard outcome.succeeded,
      let text = outcome.output.split(separator: "\n").last(where: { $0.hasPrefix("{") }),
      let line = try? JSONDecoder().decode(Line.self, from: Data(text.utf8)), line.verified
    else {
      throw LabError("memx-bench swap ended with \(outcome.code): \(outcome.text)")
    }
    return Measured(
      time_s: line.time_s, fault_p50_us: line.fault_p50_us ?? 0,
      fault_p99_us: line.fault_p99_us ?? 0)
  }

  /// Whether a run of `memx-bench swap` read something else than it had written.
  static func foundWrongData(_ outcome: Guest.Outcome) -> Bool {
    outcome.output.contains("expected 0x") || outcome.output.contains("wrong data")
  }

  /// The shell pipeline which writes a text of long lines, the same everywhere.
  ///
  /// Long lines keep the number of random page accesses of a sort in proportion to its size.
  static func text(size_mib: Int) -> String {
    let key = "6d656d782072656d6f74652073776170"
    return
      "openssl enc -aes-128-ctr -K \(key) -iv 00000000000000000000000000000000 -in /dev/zero"
      + " 2>/dev/null | base64 -w 1023 | head -c \(size_mib << 20)"
  }

  /// The checksum that the sorted text must have, made on the host.
  static func sortedTextChecksum(size_mib: Int) async throws -> String {
    let sum = try await Command.run(
      ["sh", "-c", "\(text(size_mib: size_mib)) | LC_ALL=C sort | sha256sum"],
      timeout: .seconds(300))
    return String(sum.prefix(64))
  }

  /// A script which sorts the text in memory; its last word on the first line is the checksum.
  ///
  /// The text lies in a tmpfs and sort's buffer holds it whole, so both take memory.
  static func sort(size_mib: Int) -> String {
    """
    \(text(size_mib: size_mib)) > /tmp/text
    LC_ALL=C /programs/bin/sort -S \(size_mib * 2)M --parallel=1 /tmp/text | sha256sum
    rm /tmp/text
    """
  }

  /// A script which writes and checks patterns for a time.
  static func stress(size_mib: Int, seconds: Int, processes: Int = 2) -> String {
    "stress-ng --vm \(processes) --vm-bytes \(size_mib / processes)M --vm-keep --vm-method write64"
      + " --verify --timeout \(seconds) --oomable --metrics-brief"
  }
}
