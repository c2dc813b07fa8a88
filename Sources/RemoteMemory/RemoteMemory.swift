// SPDX-License-Identifier: Apache-2.0
import Glibc
import Links
import RMAP

/// A region of a memory server as memory of this process, or of others that hand theirs over.
///
/// Pages come by post-copy: a thread that touches one which is missing waits until it has been fetched, while
/// the server pushes the others before they are touched (Hines, Deshpande, Gopalan, "Post-Copy Live
/// Migration of Virtual Machines", 2009, section 3). The rest of the program keeps running. What a
/// program writes stays with it; nothing goes back to the server.
///
/// A page that cannot be had raises SIGBUS in the thread that touches it.
public final class RemoteMemory: Sendable {
  /// Slots of the region.
  public let slots: UInt64

  private let memory: OwnMemory?
  private let address: UInt
  private let state: ServiceState
  private let thread: LinkThread
  private let log: TouchLog?

  /// Attaches to a region, maps it, and starts to move its pages.
  ///
  /// - Throws: `RemoteMemoryError`, which says what is missing: the link, the server, the right to attach, or to
  ///   use userfaultfd.
  public convenience init(_ configuration: RemoteMemoryConfiguration) throws(RemoteMemoryError) {
    let connection = try Connection.open(configuration)
    let memory = try OwnMemory(pages: connection.slots)
    let userfaultfd = try Userfaultfd()
    try userfaultfd.register(address: memory.address, length: memory.length)
    var table = UserfaultfdTable()
    try table.append(userfaultfd)
    let area = Area(address: memory.address, pages: connection.slots)
    try self.init(configuration, connection, [area], table, memory)
  }

  /// Attaches to a region and moves its pages into the memory of programs that have handed over their
  /// userfaultfds.
  ///
  /// - Parameters:
  ///   - areas: which slots belong where; see ``HandOver``.
  ///   - userfaultfds: as `areas` names them.
  public convenience init(
    _ configuration: RemoteMemoryConfiguration, areas: [Area],
    userfaultfds: consuming UserfaultfdTable
  ) throws(RemoteMemoryError) {
    try self.init(configuration, try Connection.open(configuration), areas, userfaultfds, nil)
  }

  private init(
    _ configuration: RemoteMemoryConfiguration, _ connection: consuming Connection,
    _ areas: [Area], _ userfaultfds: consuming UserfaultfdTable, _ memory: consuming OwnMemory?
  ) throws(RemoteMemoryError) {
    slots = connection.slots
    let count = userfaultfds.count
    log = configuration.recordsTouches ? TouchLog(capacity: connection.slots) : nil
    var placer = Placer(
      areas: try Areas(areas, slots: connection.slots, userfaultfds: count),
      userfaultfds: userfaultfds, states: SlotStates(slots: connection.slots))
    placer.touches = log
    let state = try ServiceState()
    let box = ServiceBox(
      Service(configuration, connection: connection, placer: placer, shared: state))
    self.state = state
    address = memory == nil ? 0 : UInt(areas[0].address)
    self.memory = memory
    thread = LinkThread { box.service.run() }
    do { try thread.start() } catch {
      throw RemoteMemoryError("\(error)", code: error.code)
    }
  }

  deinit {
    state.stop()
    thread.join()
  }

  /// The region's memory, slot after slot; nil when it is other processes'. Mapped until this object goes.
  public var base: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: address) }

  /// What has come so far.
  public var report: RemoteMemoryReport { state.current }

  /// Pages that threads have had to wait for so far, thread after thread, of each those touched first in front; empty
  /// unless ``RemoteMemoryConfiguration/recordsTouches`` is set.
  ///
  /// A page that came before it was touched is not among them: with `demand-only` they are all that the program
  /// has touched, in its order. As ``RemoteMemoryConfiguration/order`` of a later post-copy they have a program that does the
  /// same again find its pages there.
  public var touches: [Extent] { log?.extents ?? [] }

  /// Stops moving pages; touching one that has not come raises SIGBUS from now on.
  public func stop() { state.stop() }

  /// Waits until every page has come.
  ///
  /// - Parameter timeout_ms: below 0 for as long as it takes.
  /// - Returns: whether they have, in this time.
  /// - Throws: `RemoteMemoryError`: why they cannot come any more.
  @discardableResult
  public func waitUntilComplete(timeout_ms: Int32 = -1) throws(RemoteMemoryError) -> Bool {
    guard let report = state.waitForEnd(timeout_ms: timeout_ms) else { return false }
    if let failure = report.failure {
      throw RemoteMemoryError(failure, code: report.failureCode)
    }
    return true
  }
}

/// Carries a service into its thread, which alone uses it.
private final class ServiceBox: @unchecked Sendable {
  var service: Service
  init(_ service: consuming Service) { self.service = service }
}
