// SPDX-License-Identifier: Apache-2.0
import Console

/// What a migration took, in the paper's terms (section 3): times in milliseconds, pages of 4,096 bytes.
public struct MigrationReport: Sendable, Equatable {
  /// The domain's name.
  public var domain = ""
  /// What its pages follow over, as the module names it.
  public var transport = "ethernet"
  /// Of the domain, before it moved.
  public var memory_pages: UInt64 = 0
  /// From the first request to the guest to its suspension; it runs.
  public var preparation_ms: UInt64 = 0
  /// Of the preparation, what it took to send pages ahead; the rest is the page-out.
  public var precopy_ms: UInt64 = 0
  /// From the call of `xl save` to the target's word that the guest runs there: no task of the guest runs.
  public var downtime_ms: UInt64 = 0
  /// Of the downtime, what the guest's module took to page out what still could be, and to hand it over.
  public var freeze_ms: UInt64 = 0
  /// Of the downtime, until `xl save` had ended, ``freeze_ms`` included; the rest is `xl restore`'s.
  public var save_ms: UInt64 = 0
  /// From the target's word until the last page has come; the guest runs.
  public var resume_ms: UInt64 = 0
  /// Pages that were sent ahead.
  public var precopied_pages: UInt64 = 0
  /// Bytes that moved while the guest stood still: CPU state, and pages that cannot be paged out, less those that
  /// were sent ahead and are still the same.
  public var residual_bytes: UInt64 = 0
  /// Slots that held a page when the guest was suspended.
  public var slots_used: UInt64 = 0
  /// Of ``slots_used``, what the freeze had to page out; the rest had gone before.
  public var slots_frozen: UInt64 = 0
  /// Pages that came unasked.
  public var pushed: UInt64 = 0
  /// Pages that came because somebody waited for them.
  public var fetched: UInt64 = 0
  /// Faults that had to wait for a fetch.
  public var network_faults: UInt64 = 0
  /// Faults that found their page pushed already.
  public var minor_faults: UInt64 = 0
  /// Pages pushed to slots that the guest had freed or rewritten.
  public var unused: UInt64 = 0
  /// The longest that a fault waited for its page, in microseconds.
  public var longest_wait_us: UInt64 = 0

  public init() {}

  /// All three phases.
  public var total_ms: UInt64 { preparation_ms + downtime_ms + resume_ms }
  /// Pages that crossed the network behind the guest.
  public var pages_transferred: UInt64 { pushed + fetched }
  /// Share of the faults on moved pages that had to wait for a fetch, 0 to 100.
  public var network_fault_percent: Double {
    let all = network_faults + minor_faults
    return all == 0 ? 0 : 100 * Double(network_faults) / Double(all)
  }

  /// One object for scripts.
  public var json: JSONLine {
    var object = JSONLine()
    object.add("event", "migrated")
    object.add("domain", domain)
    object.add("transport", transport)
    for (name, value, _) in rows { object.add(name, value) }
    object.add("network_fault_pct", network_fault_percent, places: 3)
    return object
  }

  /// Lines for people.
  public var table: [String] {
    var columns = Columns([("Metric", .left), ("", .right), ("", .left)])
    columns.add(["pages follow over", transport, ""])
    for (name, value, unit) in rows {
      var words = name.split(separator: "_")
      if words.count > 1, words.last! == unit { words.removeLast() }
      columns.add([words.joined(separator: " "), "\(value)", unit])
    }
    columns.add(["network faults", decimal(network_fault_percent, places: 2), "% of faults"])
    return columns.lines
  }

  private var rows: [(name: String, value: UInt64, unit: String)] {
    [
      ("memory_pages", memory_pages, "pages"),
      ("preparation_ms", preparation_ms, "ms"), ("precopy_ms", precopy_ms, "ms"),
      ("downtime_ms", downtime_ms, "ms"),
      ("freeze_ms", freeze_ms, "ms"), ("save_ms", save_ms, "ms"),
      ("resume_ms", resume_ms, "ms"), ("total_ms", total_ms, "ms"),
      ("precopied_pages", precopied_pages, "pages"), ("residual_bytes", residual_bytes, "bytes"),
      ("slots_used", slots_used, "pages"), ("slots_frozen", slots_frozen, "pages"),
      ("pages_transferred", pages_transferred, "pages"), ("pushed", pushed, "pages"),
      ("fetched", fetched, "pages"), ("network_faults", network_faults, ""),
      ("minor_faults", minor_faults, ""), ("unused", unused, "pages"),
      ("longest_wait_us", longest_wait_us, "us"),
    ]
  }
}
