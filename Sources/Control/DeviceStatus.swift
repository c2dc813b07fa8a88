// SPDX-License-Identifier: Apache-2.0
import Console

/// What one device is and how it is doing, as sysfs has it at one moment.
public struct DeviceStatus: Sendable {
  /// The device.
  public let device: DeviceName
  /// Its size in bytes.
  public let sizeBytes: UInt64
  /// Its use as swap; nil when it is not swapped to.
  public let swap: SwapUse?
  private let texts: [String: String]
  private let numbers: [String: UInt64]

  private static let textNames = ["region", "server", "link", "state", "session", "incarnation"]
  private static let numberNames = [
    "mtu", "queue_depth", "credits", "timeout_s", "srtt_us", "rto_us", "stats/outstanding",
    "stats/server_stored_pages", "stats/server_quota_pages",
  ]

  /// The status of `device`.
  ///
  /// - Throws: ``Failure`` with ``Exit/notThere`` when it is not attached.
  public init(_ device: DeviceName, _ files: KernelFiles) throws(Failure) {
    try files.requireAttached(device)
    self.device = device
    // The kernel counts in sectors of 512 bytes whatever the device's own block size is.
    sizeBytes =
      (files.text("\(files.sysfs)/block/\(device)/size").flatMap { UInt64($0) } ?? 0) * 512
    swap = files.swapUse(of: device)
    var texts: [String: String] = [:]
    for name in Self.textNames { texts[name] = files.attribute(name, of: device) }
    var numbers: [String: UInt64] = [:]
    for name in Self.numberNames { numbers[name] = files.number(name, of: device) }
    self.texts = texts
    self.numbers = numbers
  }

  /// A line of ``table(_:)``.
  private var row: [String] {
    let use =
      swap.map { "\(ByteSize(bytes: $0.usedBytes)) used, priority \($0.priority)" } ?? "no"
    return [
      device.description, texts["region"] ?? "-", texts["server"] ?? "-", texts["link"] ?? "-",
      texts["state"] ?? "-", ByteSize(bytes: sizeBytes).description,
      numbers["stats/outstanding"].map(String.init) ?? "-", use,
    ]
  }

  /// The lines of the table for people, one device a line.
  public static func table(_ devices: [DeviceStatus]) -> [String] {
    var table = Columns([
      ("DEVICE", .left), ("REGION", .left), ("SERVER", .left), ("LINK", .left), ("STATE", .left),
      ("SIZE", .right), ("IN-FLIGHT", .right), ("SWAP", .left),
    ])
    for device in devices { table.add(device.row) }
    return table.lines
  }

  /// The object for scripts; what the kernel does not show is null.
  public func json(event: String? = nil) -> JSONLine {
    var json = JSONLine()
    if let event { json.add("event", event) }
    json.add("device", device.description)
    for name in Self.textNames {
      if let value = texts[name] { json.add(name, value) } else { json.addNull(name) }
    }
    json.add("size_bytes", sizeBytes)
    json.add("swap", swap != nil)
    if let swap {
      json.add("swap_used_bytes", swap.usedBytes)
      json.add("swap_priority", swap.priority)
    }
    for name in Self.numberNames {
      let key = name.hasPrefix("stats/") ? String(name.dropFirst(6)) : name
      if let value = numbers[name] { json.add(key, value) } else { json.addNull(key) }
    }
    return json
  }
}
