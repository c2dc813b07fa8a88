// SPDX-License-Identifier: Apache-2.0
import CMemx
import Console
import Glibc

/// The processes of a run: starts them, lets them go together, follows them and waits for them.
public struct Crew: ~Copyable {
  /// Why a run failed, in a sentence.
  public struct Failure: Error, Equatable, CustomStringConvertible {
    /// The sentence.
    public let description: String
  }

  private struct Member {
    var process: pid_t
    var reports: Int32
    var unread: [UInt8] = []
    var ready = false
    var units = 0
    var outcome: WorkerOutcome?
    var complaint: String?
  }

  private var members: [Member] = []
  private var gate: Int32 = -1

  /// Starts a process for each of `commands`: a program's path and its arguments, which runs
  /// ``WorkerTask/run(input:output:)`` on its standard input and output.
  ///
  /// - Throws: ``Crew/Failure`` when a process cannot be started; those started before end.
  public init(_ program: String, _ commands: [[String]]) throws(Failure) {
    var ends: [Int32] = [-1, -1]
    guard memx_pipe_cloexec(&ends) == 0 else { throw Self.failure("make a pipe", SystemError()) }
    gate = ends[1]
    defer { close(ends[0]) }
    for arguments in commands {
      do {
        members.append(try Self.start(program, arguments, input: ends[0]))
      } catch {
        let started = members.count
        close(gate)
        gate = -1
        for member in members {
          close(member.reports)
          kill(member.process, SIGKILL)
          var status: Int32 = 0
          waitpid(member.process, &status, 0)
        }
        throw Self.failure("start process \(started + 1) of \(commands.count)", error)
      }
    }
  }

  /// Waits until every process has started and has its memory mapped.
  ///
  /// - Throws: ``Crew/Failure`` of the first process that failed. The others are ended.
  public mutating func prepare() throws(Failure) {
    while members.contains(where: { !$0.ready }) { try follow() }
  }

  /// Lets the processes go, and returns their outcomes when all have ended. `progress` is called
  /// with the units of work done by all.
  ///
  /// - Throws: ``Crew/Failure`` of the first process that failed: wrong data, or killed by a
  ///   signal. The others are ended.
  public mutating func run(progress: (Int) -> Void) throws(Failure) -> [WorkerOutcome] {
    close(gate)
    gate = -1
    while members.contains(where: { $0.reports >= 0 }) {
      try follow()
      progress(members.reduce(0) { $0 + $1.units })
    }
    return members.map { $0.outcome! }
  }

  deinit { if gate >= 0 { close(gate) } }

  /// Waits until some process reports or ends, and takes what it says.
  private mutating func follow() throws(Failure) {
    var polls = members.map { pollfd(fd: $0.reports, events: Int16(POLLIN), revents: 0) }
    guard poll(&polls, nfds_t(polls.count), -1) >= 0 || errno == EINTR else {
      let error = SystemError()
      end()
      throw Self.failure("wait for the processes", error)
    }
    for (index, ready) in polls.enumerated() where ready.revents != 0 && !take(index) {
      close(members[index].reports)
      members[index].reports = -1
      if let failure = reap(index) {
        end()
        throw failure
      }
    }
  }

  /// Reads what process `index` has reported; false at the end.
  private mutating func take(_ index: Int) -> Bool {
    var chunk = [UInt8](repeating: 0, count: 16384)
    let count = read(members[index].reports, &chunk, chunk.count)
    if count < 0 { return errno == EINTR || errno == EAGAIN }
    if count == 0 { return false }
    members[index].unread += chunk[..<count]
    for message in WorkerMessage.take(from: &members[index].unread) {
      switch message {
      case .ready: members[index].ready = true
      case .progress(let units): members[index].units = units
      case .done(let outcome): members[index].outcome = outcome
      case .failed(let text): members[index].complaint = text
      }
    }
    return true
  }

  /// Waits for process `index`, which has closed its pipe; returns what was wrong, if anything.
  private mutating func reap(_ index: Int) -> Failure? {
    var status: Int32 = 0
    var usage = rusage()
    while wait4(members[index].process, &status, 0, &usage) < 0, errno == EINTR {}
    members[index].process = 0
    members[index].outcome?.majorFaults = usage.ru_majflt
    members[index].outcome?.minorFaults = usage.ru_minflt
    return Self.judge(
      status, "process \(index + 1) of \(members.count)", members[index].complaint,
      done: members[index].outcome != nil)
  }

  /// What a process's wait status and last words mean; nil when all is well.
  static func judge(
    _ status: Int32, _ name: String, _ complaint: String?, done: Bool
  ) -> Failure? {
    if let complaint { return Failure(description: "\(name): \(complaint)") }
    switch status & 0x7f {
    case SIGKILL:
      return Failure(
        description: "\(name) was killed, most likely by the kernel for want of memory and swap; "
          + "dmesg says so; try a smaller --size, or add swap")
    case SIGBUS:
      return Failure(
        description: "\(name) was ended by SIGBUS: a page could not be read back from swap; "
          + "dmesg says which device failed")
    case 0 where status == 0 && done: return nil
    case 0:
      return Failure(description: "\(name) ended early with exit status \(status >> 8)")
    case let signal:
      return Failure(
        description: "\(name) was ended by signal \(signal) (\(String(cString: strsignal(signal))))"
      )
    }
  }

  /// Ends the processes that still run.
  private mutating func end() {
    for index in members.indices where members[index].process != 0 {
      kill(members[index].process, SIGKILL)
      var status: Int32 = 0
      while waitpid(members[index].process, &status, 0) < 0, errno == EINTR {}
      members[index].process = 0
      if members[index].reports >= 0 { close(members[index].reports) }
    }
  }

  private static func start(
    _ program: String, _ arguments: [String], input: Int32
  ) throws(SystemError) -> Member {
    var ends: [Int32] = [-1, -1]
    guard memx_pipe_cloexec(&ends) == 0 else { throw SystemError() }
    defer { close(ends[1]) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    var words: [UnsafeMutablePointer<CChar>?] =
      ([program] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, program, &actions, nil, &words, environ)
    guard code == 0 else {
      close(ends[0])
      throw SystemError(code: code)
    }
    return Member(process: process, reports: ends[0])
  }

  private static func failure(_ what: String, _ error: SystemError) -> Failure {
    Failure(
      description: "cannot \(what): \(error)"
        + (error.code == EAGAIN || error.code == EMFILE ? "; try fewer --processes" : ""))
  }
}
