// SPDX-License-Identifier: Apache-2.0
import Processes

/// The program that reaches the target, and the lines over it.
final class TargetChannel {
  private let child: ChildProcess
  private let toTarget: Pipe
  private let fromTarget: Pipe
  private var lines: LineChannel

  /// - Parameter command: a program and its arguments, such as `ssh host memxctl receive`.
  init(_ command: [String]) throws(RunFailure) {
    let (toTarget, fromTarget) = (try Pipe(), try Pipe())
    child = try ChildProcess(
      ChildProcess.find(command[0], package: "that has it"), Array(command.dropFirst()),
      input: toTarget.readEnd, output: fromTarget.writeEnd)
    toTarget.closeReadEnd()
    fromTarget.closeWriteEnd()
    lines = LineChannel(input: fromTarget.readEnd, output: toTarget.writeEnd)
    self.toTarget = toTarget
    self.fromTarget = fromTarget
  }

  /// Where the stream of the guest goes.
  var output: Int32 { toTarget.writeEnd }

  func send(_ line: Line) -> Bool { lines.send(line) }

  func receive(timeout_ms: Int32, also: Int32 = -1) -> LineChannel.Received {
    lines.receive(timeout_ms: timeout_ms, also: also)
  }

  /// Hangs up: the target undoes what it has not finished.
  func close() {
    toTarget.closeBoth()
    fromTarget.closeBoth()
  }
}
