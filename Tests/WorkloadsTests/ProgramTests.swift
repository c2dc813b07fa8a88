// SPDX-License-Identifier: Apache-2.0
import Subprocess
import SystemPackage
import Testing

/// memx-bench swap as a script runs it.
@Suite struct SwapProgram {
  private func bench(
    _ arguments: [String]
  ) async throws -> (status: Int32, out: String, err: String) {
    let tests = try #require(
      CommandLine.arguments.first.map { FilePath($0).removingLastComponent() })
    let result = try await run(
      .path(tests.appending("memx-bench")), arguments: Arguments(["swap"] + arguments),
      output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
    guard case .exited(let status) = result.terminationStatus else {
      Issue.record("memx-bench was ended by a signal")
      return (-1, "", "")
    }
    return (status, result.standardOutput, result.standardError)
  }

  @Test(arguments: ["quicksort", "seqread", "seqwrite", "stride", "hash"])
  func everyWorkloadRunsInSeveralProcesses(workload: String) async throws {
    let result = try await bench([
      "--workload", workload, "--size", "3M", "--processes", "3", "--passes", "2", "--json",
    ])
    #expect(result.status == 0)
    #expect(
      result.out.hasPrefix(
        #"{"schema":1,"bench":"swap","case":"\#(workload)","size_bytes":3145728,"processes":3,"#))
    #expect(result.out.hasSuffix(",\"verified\":true}\n"))
    #expect(result.out.filter(\.isNewline).count == 1)
  }

  @Test func peopleGetLines() async throws {
    let result = try await bench(["--workload", "quicksort", "--size", "1M"])
    #expect(result.status == 0)
    #expect(result.out.hasPrefix("quicksort  1.0 MiB, 1 process, 1 pass, seed 1: verified\n"))
    #expect(!result.err.contains("#"), "a progress bar is for terminals")
  }

  @Test func tooMuchIsRefusedWithTheFigures() async throws {
    let result = try await bench(["--workload", "seqread", "--size", "60T", "--json"])
    #expect(result.status == 1)
    #expect(result.err.contains("does not fit"))
    #expect(result.out.contains(#""verified":false,"error":"--size 60.0 TiB"#))
  }

  @Test func wrongCommandLines() async throws {
    for arguments in [
      ["--workload", "bogosort", "--size", "1M"], ["--workload", "hash", "--size", "1Q"],
      ["--workload", "hash", "--size", "1M", "--processes", "0"],
      ["--workload", "hash", "--size", "1M", "--processes", "513"],
      ["--workload", "hash", "--size", "1M", "--processes", "17"],
      ["--workload", "hash", "--size", "1M", "--passes", "0"], ["--workload", "hash"],
    ] {
      let result = try await bench(arguments)
      #expect(result.status == 64)
      #expect(result.err.hasPrefix("Error: "))
    }
  }
}
