// SPDX-License-Identifier: Apache-2.0

extension ServerStatus {
  /// The same figures as metrics for Prometheus.
  public var prometheus: String {
    var text = PrometheusText()
    text.metric("memx_healthy", .gauge, "1 while every engine runs.")
    text.sample(healthy ? UInt64(1) : 0)
    text.metric("memx_start_time_seconds", .gauge, "Unix time at which the server began to answer.")
    text.sample(start_time_s)
    text.metric(
      "memx_memory_bytes", .gauge, "Memory for pages, in use or not, and 4 MiB more a region.")
    text.sample(UInt64(memory_bytes))
    text.metric("memx_memory_free_bytes", .gauge, "Memory for pages that no region has.")
    text.sample(UInt64(free_bytes))
    write(links, to: &text)
    write(regions, to: &text)
    return text.text
  }

  private func write(_ links: [Link], to text: inout PrometheusText) {
    let gauges: [(String, String, (Link) -> UInt64)] = [
      ("up", "1 while the link is up.", { $0.up ? 1 : 0 }),
      ("mtu_bytes", "Bytes that a frame carries behind its Ethernet header.", { UInt64($0.mtu) }),
      ("sessions", "Clients attached through the link.", { UInt64($0.sessions) }),
    ]
    for (name, help, value) in gauges {
      text.metric("memx_link_\(name)", .gauge, help)
      for link in links { text.sample(value(link), ["link": link.name]) }
    }
    let counters: [(String, String, (Link) -> UInt64)] = [
      ("receive_frames", "Frames received.", { $0.rx_frames }),
      ("receive_drops", "Frames that the receive ring had no room for.", { $0.rx_dropped }),
      (
        "receive_bad",
        "Frames over RDMA that came with an error, over an ended connection, or unasked.",
        { $0.rx_bad }
      ),
      (
        "connections_refused", "Connections over RDMA that were refused.",
        { $0.connections_refused }
      ),
      ("transmit_frames", "Frames sent.", { $0.tx_frames }),
      (
        "transmit_written", "Frames of pushes that were written to a client's buffers over RDMA.",
        { $0.tx_written }
      ),
      ("transmit_bytes", "Bytes sent, Ethernet headers included.", { $0.tx_bytes }),
      ("transmit_drops", "Frames that the system would not take.", { $0.tx_dropped }),
      ("transmit_calls", "System calls that sent frames.", { $0.tx_calls }),
      ("engine_sleeps", "Times that the engine slept for want of work.", { $0.sleeps }),
    ]
    for (name, help, value) in counters {
      text.metric("memx_link_\(name)_total", .counter, help)
      for link in links { text.sample(value(link), ["link": link.name]) }
    }
    text.metric("memx_link_engine_cpu_seconds_total", .counter, "CPU time of the link's engine.")
    for link in links { text.sample(Double(link.cpu_us) / 1e6, ["link": link.name]) }
    for name in Set(links.flatMap(\.counters.keys)).sorted() {
      text.metric("memx_link_\(name)_total", .counter, Self.help(forCounter: name))
      for link in links where link.counters[name] != nil {
        text.sample(link.counters[name]!, ["link": link.name])
      }
    }
  }

  private func write(_ regions: [Region], to text: inout PrometheusText) {
    let pageBytes: UInt64 = 4096
    let gauges: [(String, String, (Region) -> UInt64)] = [
      ("size_bytes", "The region's address space.", { $0.slots * pageBytes }),
      ("quota_bytes", "Pages that the region may hold.", { UInt64($0.quota_pages) * pageBytes }),
      ("stored_bytes", "Pages that the region holds.", { UInt64($0.stored_pages) * pageBytes }),
      ("reserved_bytes", "Memory that the region has.", { UInt64($0.reserved_bytes) }),
      (
        "foreign", "1 when the pages are in the memory of a Xen guest.",
        { $0.domain == nil ? 0 : 1 }
      ),
      ("attached", "1 while a client is attached.", { $0.session == nil ? 0 : 1 }),
      (
        "queue_depth", "Requests that the client may have open.",
        { UInt64($0.session?.queue_depth ?? 0) }
      ),
      ("credits", "Of these, how many it may have open now.", { UInt64($0.session?.credits ?? 0) }),
    ]
    for (name, help, value) in gauges {
      text.metric("memx_region_\(name)", .gauge, help)
      for region in regions { text.sample(value(region), ["region": region.name]) }
    }
  }

  static func help(forCounter name: String) -> String {
    switch name {
    case "reads": "Pages read."
    case "writes": "Pages written."
    case "zero_reads": "Of the pages read, those that were all zeros."
    case "discard_requests": "Discards."
    case "discarded_slots": "Slots discarded."
    case "flushes": "Flushes."
    case "keep_alives": "Keep-alives."
    case "attaches": "Sessions opened."
    case "attaches_refused": "Attaches refused."
    case "detaches": "Sessions that their client ended."
    case "sessions_expired": "Sessions that ended because their client was silent."
    case "sessions_disconnected": "Sessions that ended because their RDMA connection did."
    case "repeated_requests": "Requests that came again, and were answered again."
    case "stale_requests": "Late duplicates of finished requests, dropped."
    case "truncated_frames": "Frames shorter than they said, dropped."
    case "bad_checksums": "Messages with a wrong checksum, dropped."
    case "bad_versions": "Messages of another protocol version."
    case "bad_opcodes": "Messages with an unknown opcode."
    case "bad_messages": "Malformed messages."
    case "bad_sessions": "Messages of no open session."
    case "out_of_range": "Requests for a slot behind the region's end."
    case "no_space": "Writes refused because quota or memory was used up."
    case "lost_reads": "Reads of pages lost with an earlier store."
    case "io_errors": "Reads of pages that the server could not get at."
    case "errors_suppressed": "Replies to errors that the rate limit held back."
    case "postcopies": "Post-copies begun."
    case "pages_pushed": "Pages pushed in post-copy, and known to have arrived."
    case "pages_fetched": "Pages sent in post-copy because the client asked: network faults."
    case "fetches_overlapped": "Pages asked for while a push of them was on its way."
    case "pushes_repeated": "Pushes sent again."
    case "pushes_unwanted": "Pushed pages that the client had no use for."
    default: "Events named \(name)."
    }
  }
}
