// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc

/// A process that this one started; it ends with this object.
///
/// It is in the network namespace that the calling thread is in.
public final class ChildProcess {
  private let process: pid_t
  private var status: Int32?

  /// Its process id.
  public var id: Int32 { process }

  /// Starts it.
  ///
  /// - Parameters:
  ///   - program: its path.
  ///   - input: its standard input; nil for this process's.
  ///   - output: its standard output; nil for this process's.
  ///   - errors: its standard error; nil for this process's.
  /// - Throws: when the program cannot be started; says why.
  public init(
    _ program: String, _ arguments: [String], input: Int32? = nil, output: Int32? = nil,
    errors: Int32? = nil
  ) throws(RunFailure) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let input { posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO) }
    if let output { posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) }
    if let errors { posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO) }
    var words: [UnsafeMutablePointer<CChar>?] =
      ([program] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, program, &actions, nil, &words, environ)
    guard code == 0 else {
      throw RunFailure("cannot start \(program): \(SystemError(code: code))")
    }
    self.process = process
  }

  deinit {
    guard status == nil else { return }
    kill(process, SIGKILL)
    var ignored: Int32 = 0
    while waitpid(process, &ignored, 0) < 0, errno == EINTR {}
  }

  /// Waits for its end.
  ///
  /// - Returns: the wait status.
  public func wait() -> Int32 {
    if let status { return status }
    var found: Int32 = 0
    while waitpid(process, &found, 0) < 0, errno == EINTR {}
    status = found
    return found
  }

  /// Has it ended? How, as `waitpid` says; nil when it still runs.
  public func poll() -> Int32? {
    if status == nil {
      var found: Int32 = 0
      if waitpid(process, &found, WNOHANG) == process { status = found }
    }
    return status
  }

  /// Sends it a signal, if it still runs.
  public func send(_ signal: Int32) {
    if poll() == nil { kill(process, signal) }
  }

  /// Runs a program of the system to its end.
  ///
  /// - Parameters:
  ///   - name: looked for in PATH and where administrators' programs are.
  ///   - package: what to install when it is not there.
  /// - Returns: what it printed on standard output and standard error.
  /// - Throws: when it is not installed, or ends with another status than 0; with what it printed.
  @discardableResult
  public static func run(
    _ name: String, _ arguments: [String], package: String
  ) throws(RunFailure) -> String {
    let pipe = try Pipe()
    defer { pipe.closeBoth() }
    let child = try ChildProcess(
      find(name, package: package), arguments, output: pipe.writeEnd, errors: pipe.writeEnd)
    pipe.closeWriteEnd()
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(pipe.readEnd, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      text += chunk[..<count]
    }
    let said = String(decoding: text, as: UTF8.self)
    guard child.wait() == 0 else {
      let words = ([name] + arguments).joined(separator: " ")
      throw RunFailure("\(words): \(said.split(separator: "\n").joined(separator: "; "))")
    }
    return said
  }

  /// Where a program of the system is; users' paths lack the directories of administrators' programs. A name
  /// with a slash is a path already.
  ///
  /// - Throws: when it is nowhere; names the package to install.
  public static func find(_ name: String, package: String) throws(RunFailure) -> String {
    guard !name.contains("/") else { return name }
    let own = getenv("PATH").map { String(cString: $0) } ?? ""
    let directories =
      own.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin", "/usr/bin"]
    let paths: [String] = directories.map { "\($0)/\(name)" }
    guard let path = paths.first(where: { access($0, X_OK) == 0 }) else {
      throw RunFailure("there is no program '\(name)': install the package \(package)")
    }
    return path
  }
}
