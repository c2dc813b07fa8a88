// SPDX-License-Identifier: Apache-2.0
import CMemx
import Console
import Glibc

/// Why a run failed, in a sentence.
struct PostcopyFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A process that this one started; it ends with this object.
///
/// It is in the network namespace that the calling thread is in.
final class ChildProcess {
  private let process: pid_t
  private var status: Int32?

  var id: Int32 { process }

  /// - Parameters:
  ///   - program: its path.
  ///   - input: its standard input; nil for this process's.
  ///   - output: its standard output and error; nil for this process's.
  init(
    _ program: String, _ arguments: [String], input: Int32? = nil, output: Int32? = nil
  ) throws(PostcopyFailure) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let input { posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO) }
    if let output {
      posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
      posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
    }
    var words: [UnsafeMutablePointer<CChar>?] =
      ([program] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, program, &actions, nil, &words, environ)
    guard code == 0 else {
      throw PostcopyFailure("cannot start \(program): \(SystemError(code: code))")
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
  func wait() -> Int32 {
    if let status { return status }
    var found: Int32 = 0
    while waitpid(process, &found, 0) < 0, errno == EINTR {}
    status = found
    return found
  }

  /// Has it ended? How, as `waitpid` says; nil when it still runs.
  func poll() -> Int32? {
    if status == nil {
      var found: Int32 = 0
      if waitpid(process, &found, WNOHANG) == process { status = found }
    }
    return status
  }

  /// Runs a program of the system to its end.
  ///
  /// - Throws: when it is not installed, or ends with another status than 0; with what it printed.
  static func run(_ name: String, _ arguments: [String]) throws(PostcopyFailure) {
    guard let path = path(of: name) else {
      throw PostcopyFailure("there is no program '\(name)': install the package iproute2")
    }
    var ends: [Int32] = [-1, -1]
    guard memx_pipe_cloexec(&ends) == 0 else {
      throw PostcopyFailure("cannot make a pipe: \(SystemError())")
    }
    defer { close(ends[0]) }
    let child: ChildProcess
    do throws(PostcopyFailure) {
      child = try ChildProcess(path, arguments, output: ends[1])
      close(ends[1])
    } catch {
      close(ends[1])
      throw error
    }
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(ends[0], &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      text += chunk[..<count]
    }
    guard child.wait() == 0 else {
      let words = ([name] + arguments).joined(separator: " ")
      let said = String(decoding: text, as: UTF8.self).split(separator: "\n").joined(
        separator: "; ")
      throw PostcopyFailure("\(words): \(said)")
    }
  }

  /// Where a program of the system is; users' paths lack the directories of administrators' programs.
  private static func path(of name: String) -> String? {
    let own = getenv("PATH").map { String(cString: $0) } ?? ""
    let directories =
      own.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin", "/usr/bin"]
    return directories.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }
}

/// The path of this program's file.
func ownProgram() -> String {
  let link = "/proc/self/exe"
  guard let path = realpath(link, nil) else { return link }
  defer { free(path) }
  return access(path, X_OK) == 0 ? String(cString: path) : link
}
