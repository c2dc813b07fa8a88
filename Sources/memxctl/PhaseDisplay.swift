// SPDX-License-Identifier: Apache-2.0
import Console
import Migration

/// A bar for the phase that a migration is in.
final class PhaseDisplay {
  private var phase: Phase?
  private var bar: ProgressBar?

  func show(_ progress: MigrationProgress) {
    if progress.phase != phase {
      finish()
      phase = progress.phase
      bar = ProgressBar(label: progress.phase.rawValue)
    }
    bar?.show(progress.fraction)
  }

  func finish() {
    bar?.finish()
    bar = nil
  }
}
