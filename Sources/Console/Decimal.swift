// SPDX-License-Identifier: Apache-2.0

/// `value` with exactly `places` (0 to 9) decimals, rounded half away from zero; `-` when it is no
/// finite number. What `printf("%.*f")` would give, without Foundation in a guest's ramdisk.
public func decimal(_ value: Double, places: Int) -> String {
  guard value.isFinite, value.magnitude < 1e18 else { return "-" }
  var scale: UInt64 = 1
  for _ in 0..<places { scale *= 10 }
  let whole = UInt64(value.magnitude.rounded(.down))
  let rest = UInt64(((value.magnitude - Double(whole)) * Double(scale)).rounded())
  let carried = rest == scale
  let sign = value < 0 && (whole > 0 || rest > 0) ? "-" : ""
  let head = "\(sign)\(carried ? whole + 1 : whole)"
  guard places > 0 else { return head }
  let tail = String(carried ? 0 : rest)
  return head + "." + String(repeating: "0", count: places - tail.utf8.count) + tail
}
