// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// What a strategy that goes by an order is told.
enum ToldOrder: String, ExpressibleByArgument, CaseIterable {
  /// In which order the programs had used their pages before they stopped.
  case lru
  /// In which order each of them touched its pages after the stop, in an earlier move; one behind the other.
  case touched
}
