// SPDX-License-Identifier: Apache-2.0

/// The orders in which a moved guest touches its memory, one touch for each page of it.
public enum TouchPattern: String, CaseIterable, Sendable {
  /// In address order.
  case sequential
  /// Every 17th page, then again from the second on, until each was touched once.
  case stride
  /// Each page once, in an order without one.
  case random
  /// Nine touches of ten within the first tenth, the others anywhere in the rest.
  case hotcold
}
