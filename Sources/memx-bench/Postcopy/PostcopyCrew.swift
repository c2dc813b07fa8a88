// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc
import Links
import Processes
import RemoteMemory

/// The processes that run the programs, and what they say.
final class PostcopyCrew {
  private struct Member {
    let process: ChildProcess
    let channel: LineChannel
  }

  private var members: [Member] = []
  private var isReady: [Bool]
  /// The monotonic clock when each finished; 0 before.
  private var finished_ns: [UInt64]
  private var isVerified: [Bool]
  /// Steps that each has done, as it last said.
  private(set) var steps: [Int]

  /// Starts the processes, in the network namespace of the calling thread.
  ///
  /// - Parameters:
  ///   - programs: how many.
  ///   - arguments: of process `index`, behind the name of the role.
  init(_ programs: Int, arguments: (_ index: Int) -> [String]) throws(RunFailure) {
    isReady = [Bool](repeating: false, count: programs)
    isVerified = isReady
    finished_ns = [UInt64](repeating: 0, count: programs)
    steps = [Int](repeating: 0, count: programs)
    for index in 0..<programs {
      var ends: [Int32] = [-1, -1]
      guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0
      else { throw RunFailure("cannot make a socket pair: \(SystemError())") }
      defer { close(ends[1]) }
      let channel = LineChannel(ends[0])
      let process = try ChildProcess(
        ownProgram(), ["postcopy-worker"] + arguments(index), input: ends[1])
      members.append(Member(process: process, channel: channel))
    }
  }

  /// How many.
  var count: Int { members.count }

  /// The descriptor over which process `index` hands over.
  func socket(_ index: Int) -> Int32 { members[index].channel.descriptor }

  /// Tells every process a line of its own.
  func tell(_ line: (_ index: Int) -> String) throws(RunFailure) {
    for index in 0..<count where !members[index].channel.send(line(index)) {
      throw RunFailure("process \(index + 1) of \(count) has ended early")
    }
  }

  func waitUntilReady(timeout_s: Int) throws(RunFailure) {
    try follow(timeout_s: timeout_s, "get ready") { $0.isReady.allSatisfy { $0 } }
  }

  /// Waits until every program has finished its work.
  ///
  /// - Parameter progress: called with the steps done by all.
  /// - Returns: the monotonic clock when the last one had.
  func waitUntilFinished(
    timeout_s: Int, progress: (Int) -> Void
  ) throws(RunFailure) -> UInt64 {
    try follow(timeout_s: timeout_s, "finish") { crew in
      progress(crew.steps.reduce(0, +))
      return crew.finished_ns.allSatisfy { $0 > 0 }
    }
    return finished_ns.max()!
  }

  /// Has every process look at all its data.
  func verify(timeout_s: Int) throws(RunFailure) {
    try tell { _ in "verify" }
    try follow(timeout_s: timeout_s, "verify their data") { $0.isVerified.allSatisfy { $0 } }
  }

  /// Takes what the processes say until `isDone`.
  private func follow(
    timeout_s: Int, _ what: String, until isDone: (PostcopyCrew) -> Bool
  ) throws(RunFailure) {
    let end_ns = monotonic_ns() + UInt64(timeout_s) * 1_000_000_000
    while !isDone(self) {
      guard monotonic_ns() < end_ns else {
        throw RunFailure("the programs did not \(what) within \(timeout_s) s")
      }
      var polls = (0..<count).map {
        pollfd(fd: isVerified[$0] ? -1 : socket($0), events: Int16(POLLIN), revents: 0)
      }
      guard poll(&polls, nfds_t(polls.count), 100) >= 0 || errno == EINTR else {
        throw RunFailure("cannot wait for the programs: \(SystemError())")
      }
      for index in 0..<count where polls[index].revents != 0 {
        guard members[index].channel.fill() else { throw ended(index) }
        while let line = members[index].channel.takeLine() { try take(line, from: index) }
      }
    }
  }

  private func take(_ line: String, from index: Int) throws(RunFailure) {
    let words = line.split(separator: " ", maxSplits: 1)
    switch (words.first, words.count > 1 ? words[1] : "") {
    case ("ready", _): isReady[index] = true
    case ("progress", let number): steps[index] = Int(number) ?? steps[index]
    case ("finished", let number): finished_ns[index] = UInt64(number) ?? 0
    case ("verified", _): isVerified[index] = true
    case ("failed", let why): throw RunFailure("process \(index + 1) of \(count): \(why)")
    default: throw RunFailure("process \(index + 1) of \(count) says '\(line)'")
    }
  }

  private func ended(_ index: Int) -> RunFailure {
    let status = members[index].process.wait()
    let how =
      status & 0x7f == 0
      ? "ended early with exit status \(status >> 8)"
      : "was ended by signal \(status & 0x7f) (\(String(cString: strsignal(status & 0x7f))))"
    return RunFailure("process \(index + 1) of \(count) \(how)")
  }
}
