// SPDX-License-Identifier: Apache-2.0

/// The kernel series that memx.ko is held to.
public enum KernelSeries: String, CaseIterable, Sendable, CustomStringConvertible {
  case v6_1 = "6.1"
  case v6_12 = "6.12"

  public var description: String { rawValue }

  /// What the names of the series' image packages begin and end with.
  var imageName: (prefix: String, suffix: String) {
    switch self {
    case .v6_1: ("linux-image-6.1.0-", "-amd64")
    case .v6_12: ("linux-image-6.12.", "+deb12-amd64")
    }
  }

  /// Whether `package` is an image of this series: no debug symbols, no cloud or real-time flavour.
  func isImage(_ package: String) -> Bool {
    let (prefix, suffix) = imageName
    guard package.hasPrefix(prefix), package.hasSuffix(suffix),
      package.count > prefix.count + suffix.count
    else { return false }
    return package.dropFirst(prefix.count).dropLast(suffix.count).allSatisfy(\.isNumber)
  }
}
