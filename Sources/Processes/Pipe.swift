// SPDX-License-Identifier: Apache-2.0
import CMemx
import Console
import Glibc

/// A pipe that programs do not inherit, but for an end that is made their standard input or output.
public final class Pipe {
  /// What is written at the other end is read here; -1 when closed.
  public private(set) var readEnd: Int32
  /// -1 when closed.
  public private(set) var writeEnd: Int32

  public init() throws(RunFailure) {
    var ends: [Int32] = [-1, -1]
    guard memx_pipe_cloexec(&ends) == 0 else {
      throw RunFailure("cannot make a pipe: \(SystemError())")
    }
    (readEnd, writeEnd) = (ends[0], ends[1])
  }

  deinit { closeBoth() }

  public func closeReadEnd() {
    if readEnd >= 0 { close(readEnd) }
    readEnd = -1
  }

  public func closeWriteEnd() {
    if writeEnd >= 0 { close(writeEnd) }
    writeEnd = -1
  }

  public func closeBoth() {
    closeReadEnd()
    closeWriteEnd()
  }
}
