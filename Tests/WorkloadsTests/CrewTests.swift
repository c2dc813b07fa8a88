// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Workloads

/// Processes that do not do as they should, played by a shell.
@Suite struct Crews {
  /// The failure of a crew of `scripts`.
  private func failure(_ scripts: String...) -> String {
    do throws(Crew.Failure) {
      var crew = try Crew("/bin/sh", scripts.map { ["-c", $0] })
      try crew.prepare()
      _ = try crew.run { _ in }
    } catch {
      return error.description
    }
    return "none"
  }

  /// A message in octal, as printf takes it: one word of `kind` and a length of 0.
  private let ready = #"printf '\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000'"#

  @Test func killedProcess() {
    #expect(
      failure("\(ready); read x; kill -9 $$")
        .hasPrefix("process 1 of 1 was killed, most likely by the kernel for want of memory"))
  }

  @Test func lostPage() {
    #expect(
      failure("\(ready); read x; kill -BUS $$").hasPrefix("process 1 of 1 was ended by SIGBUS"))
  }

  @Test func endBeforeTheStart() {
    #expect(failure("exit 3") == "process 1 of 1 ended early with exit status 3")
    #expect(failure("exit 0") == "process 1 of 1 ended early with exit status 0")
  }

  /// The second waits for the start for ever, so only the first's end can end this test.
  @Test func oneFailureEndsAll() {
    #expect(
      failure("exit 5", "\(ready); exec tail -f /dev/null")
        == "process 1 of 2 ended early with exit status 5")
  }

  @Test func missingProgram() {
    #expect(throws: Crew.Failure.self) { _ = try Crew("/nonexistent", [[]]) }
  }

  @Test func outcomesOfRealWork() throws {
    let task = WorkerTask(
      kind: .stride, pages: 40, passes: 2, seed: 3, hugePages: false, compressible: false)
    var input: [Int32] = [0, 0]
    var output: [Int32] = [0, 0]
    try #require(pipe(&input) == 0 && pipe(&output) == 0)
    close(input[1])
    #expect(task.run(input: input[0], output: output[1]))
    close(output[1])
    close(input[0])
    defer { close(output[0]) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(output[0], &bytes, bytes.count)
    bytes.removeLast(bytes.count - max(0, count))
    let messages = WorkerMessage.take(from: &bytes)
    guard case .ready = messages.first, case .done(let outcome) = messages.last else {
      Issue.record("messages came out as \(messages)")
      return
    }
    // Filled once, read and written in two passes, verified.
    #expect(outcome.touches == 40 * (1 + 2 * 2 + 1))
    let units = messages.compactMap { if case .progress(let units) = $0 { units } else { nil } }
    #expect(units.last == WorkloadKind.stride.units(pages: 40, passes: 2))
    #expect(units == units.sorted())
  }
}
