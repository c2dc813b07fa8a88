// SPDX-License-Identifier: Apache-2.0
import RMAP

// A link that is opened again gets a new session layer, whose counters begin at 0; an engine's report goes on
// counting.

func + (left: ServerCounters, right: ServerCounters) -> ServerCounters {
  var sum = left
  for (_, path) in ServerCounters.all { sum[keyPath: path] += right[keyPath: path] }
  return sum
}

extension ServerCounters {
  /// Every counter, by the name it has in the status report.
  public static var all: [(name: String, path: WritableKeyPath<ServerCounters, UInt64>)] {
    [
      ("reads", \.reads),
      ("writes", \.writes),
      ("zero_reads", \.zeroReads),
      ("discard_requests", \.discardRequests),
      ("discarded_slots", \.discardedSlots),
      ("flushes", \.flushes),
      ("keep_alives", \.keepAlives),
      ("attaches", \.attaches),
      ("attaches_refused", \.attachesRefused),
      ("detaches", \.detaches),
      ("sessions_expired", \.sessionsExpired),
      ("sessions_disconnected", \.sessionsDisconnected),
      ("repeated_requests", \.repeatedRequests),
      ("stale_requests", \.staleRequests),
      ("truncated_frames", \.truncatedFrames),
      ("bad_checksums", \.badChecksums),
      ("bad_versions", \.badVersions),
      ("bad_opcodes", \.badOpcodes),
      ("bad_messages", \.badMessages),
      ("bad_sessions", \.badSessions),
      ("out_of_range", \.outOfRange),
      ("no_space", \.noSpace),
      ("lost_reads", \.lostReads),
      ("io_errors", \.ioErrors),
      ("errors_suppressed", \.errorsSuppressed),
      ("postcopies", \.postcopies),
      ("pages_pushed", \.pagesPushed),
      ("pages_fetched", \.pagesFetched),
      ("fetches_overlapped", \.fetchesOverlapped),
      ("pushes_repeated", \.pushesRepeated),
      ("pushes_unwanted", \.pushesUnwanted),
    ]
  }
}
