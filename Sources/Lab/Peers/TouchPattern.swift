// SPDX-License-Identifier: Apache-2.0

/// The orders in which a moved guest touches its memory, as many touches as it has pages: those of the programs of the same
/// names that `memx-bench postcopy` moves.
public enum TouchPattern: String, CaseIterable, Sendable {
  /// In address order.
  case sequential
  /// Four streams in turn, with strides of 1, 3, 17 and -5 pages.
  case stride
  /// Any page as often as any other.
  case random
  /// Nine touches of ten within a tenth in one piece, the others anywhere.
  case hotcold
}
