// SPDX-License-Identifier: Apache-2.0

/// What no guest can help (`KernelLog.faultOfTheEmulator`).
enum EmulatorFault {
  /// How often what met it is played again.
  private static let mostAgain = 2

  /// Plays something, and again while the emulator is at fault.
  ///
  /// - Parameters:
  ///   - progress: told of each time.
  ///   - failures: what went wrong, in sentences.
  /// - Returns: what came of it at last, and how often the emulator was at fault before.
  static func overcoming<R: Sendable>(
    _ progress: Progress, failures: (R) -> [String], _ play: () async -> R
  ) async -> (result: R, faults: Int) {
    var faults = 0
    while true {
      let result = await play()
      let failures = failures(result)
      let isEmulators = failures.contains { $0.contains(KernelLog.faultOfTheEmulator) }
      guard isEmulators, faults < mostAgain, !Task.isCancelled else { return (result, faults) }
      faults += 1
      progress.note("again, since \(KernelLog.faultOfTheEmulator): \(failures)")
    }
  }

  /// The same with something that throws when it goes wrong.
  static func overcoming<R: Sendable>(
    _ progress: Progress, _ play: () async throws -> R
  ) async throws -> R {
    let played = await overcoming(
      progress,
      failures: { (result: Result<R, any Error>) in
        if case .failure(let error) = result { ["\(error)"] } else { [] }
      }
    ) {
      do { return .success(try await play()) } catch { return .failure(error) }
    }
    return try played.result.get()
  }
}
