// SPDX-License-Identifier: Apache-2.0

/// Where a guest's module is in a migration, as it writes it to XenStore.
public enum GuestState: Equatable, Sendable {
  /// No migration.
  case idle
  /// What cannot be paged out goes ahead, and then the rest is paged out, while the guest runs.
  case preparing
  /// What is left is in use: the guest can be suspended.
  case prepared
  /// Suspended; its pages are at the source, and their frames published.
  case frozen
  /// At the target; pages come.
  case postcopy
  /// At the target; every page has come.
  case complete
  /// Pages are lost, or the migration could not be prepared; `error` says more.
  case failed
  /// Nothing that this program knows.
  case other(String)

  init(_ word: String) {
    self =
      switch word {
      case "idle": .idle
      case "preparing": .preparing
      case "prepared": .prepared
      case "frozen": .frozen
      case "postcopy": .postcopy
      case "complete": .complete
      case "failed": .failed
      default: .other(word)
      }
  }

  /// May a migration begin?
  var isAtRest: Bool { self == .idle || self == .complete }
}
