// SPDX-License-Identifier: Apache-2.0

/// What memxctl exits with, for scripts. Held by a test and listed in `memxctl(8)`.
public enum Exit: Int32, Sendable, CaseIterable {
  /// What was asked for is done.
  case done = 0
  /// It failed for a reason of this machine; standard error says which.
  case failed = 1
  /// There is no such device or link, or it is not attached.
  case notThere = 2
  /// The memory server refused: region, token, size, another client, too many sessions, version.
  case refused = 3
  /// No memory server answered in time.
  case timedOut = 4
  /// The command line is wrong (`EX_USAGE` of `sysexits.h`).
  case usage = 64

  /// The line about this status in help texts.
  public var meaning: String {
    switch self {
    case .done: "done"
    case .failed: "failed; standard error says why"
    case .notThere: "no such device or link, or not attached"
    case .refused: "the memory server refused"
    case .timedOut: "no memory server answered in time"
    case .usage: "wrong command line"
    }
  }
}

/// Why a command did not do what it was asked for.
public struct Failure: Error, Equatable, Sendable {
  /// What the program exits with.
  public var exit: Exit
  /// What was wrong, where, and what to do, in one or two sentences.
  public var message: String
  /// The kernel's name for the error, such as `ENODEV`, where a system call failed.
  public var errno: String?

  /// A failure that exits with `exit` and says `message`.
  public init(_ exit: Exit, _ message: String, errno: String? = nil) {
    self.exit = exit
    self.message = message
    self.errno = errno
  }
}
