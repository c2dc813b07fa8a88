// SPDX-License-Identifier: Apache-2.0
import CLibMemx
import RemoteMemory

extension memx_stats {
  init(_ report: RemoteMemoryReport) {
    self.init()
    phase = memx_phase(report.phase).rawValue
    sessions = UInt32(truncatingIfNeeded: report.sessions)
    slots = report.slots
    pages = report.pages
    fetched = report.fetched
    pushed = report.pushed
    already_there = report.alreadyThere
    network_faults = report.networkFaults
    announced_faults = report.announcedFaults
    late_faults = report.lateFaults
    lost = report.lost
    retransmissions = report.retransmissions
    blocked_ns = report.blocked_ns
    demand_ns_p50 = report.demand_ns_p50
    demand_ns_p99 = report.demand_ns_p99
    srtt_ns = report.srtt_ns
    elapsed_ns = report.elapsed_ns
    cpu_us = report.cpu_us
  }
}

extension memx_phase {
  fileprivate init(_ phase: RemoteMemoryReport.Phase) {
    switch phase {
    case .attaching: self = MEMX_ATTACHING
    case .moving: self = MEMX_MOVING
    case .complete: self = MEMX_COMPLETE
    case .ended: self = MEMX_ENDED
    }
  }
}
