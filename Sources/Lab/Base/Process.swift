// SPDX-License-Identifier: Apache-2.0
import Subprocess
import SystemPackage

/// What short commands and long-lived children have in common.
enum Process {
  /// Children are killed at once when the task which runs them is cancelled.
  static var killedWhenCancelled: PlatformOptions {
    var options = PlatformOptions()
    options.teardownSequence = [
      .send(signal: .terminate, toProcessGroup: false, allowedDurationToNextStep: .seconds(1))
    ]
    return options
  }

  static func executable(_ name: String) -> Executable {
    name.contains("/") ? .path(FilePath(name)) : .name(name)
  }

  /// The exit code, or 128 + signal.
  static func code(_ status: TerminationStatus) -> Int {
    switch status {
    case .exited(let code): Int(code)
    case .signaled(let signal): 128 + Int(signal)
    }
  }
}
