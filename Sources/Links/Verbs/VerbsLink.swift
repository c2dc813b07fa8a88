// SPDX-License-Identifier: Apache-2.0
import CRMAP
import CVerbs
import Glibc
import RMAP
import SystemPackage

/// RMAP over reliable connections of one RDMA device: each message of a connection is a frame.
///
/// One struct is both ends of a page's way, since completions of what was sent free the buffers for what is sent
/// next. Receives are shared by all connections, so their memory does not grow with clients. Allocates
/// nothing after `init` but for a connection that begins.
public struct VerbsLink: ~Copyable {
  /// How much of everything there is.
  public struct Options: Sendable {
    /// Frames that can have come in and not been looked at.
    public var receives = 1024
    /// Frames that can have been sent and not been acknowledged.
    public var sends = 1024
    /// Connections at a time, those left out that have ended; 1 to 4,096.
    public var connections = 64
    /// Operations of other kinds, on a client's connection.
    public var oneSided = 0
    /// What a client says that it speaks; another than `Wire.version` tries how a server takes it.
    public var version = Wire.version
    public init() {}
  }

  /// One received frame, valid until the next call of `next`.
  public struct Frame {
    public let bytes: UnsafeRawBufferPointer
    /// Stands for the connection that it came over.
    public let source: MACAddress
  }

  /// The most bytes of a frame.
  public static let frameBytes = Wire.maxMTU
  /// From one frame's buffer to the next.
  static let stride = (frameBytes + 63) & ~63

  /// What a completion's id says, in its upper half; the lower is an index.
  enum Work {
    static let receive: UInt64 = 0
    static let send: UInt64 = 1
    static let bind: UInt64 = 2
    static let oneSided: UInt64 = 3
    static func id(_ kind: UInt64, _ index: Int) -> UInt64 { kind << 32 | UInt64(index) }
  }

  enum Phase: UInt8 {
    case free
    /// Accepted; not known yet to be of use.
    case accepted
    case open
    /// Has ended; what was under way comes back with errors.
    case ending
  }

  struct Connection {
    var phase = Phase.free
    /// Counts the connections that this entry was used for.
    var generation: UInt64 = 0
    var handle: OpaquePointer?
    /// Messages that it may have on their way, and has.
    var sendLimit = 0
    var underWay = 0
    /// When the last of them was acknowledged, or the first sent; of an ending one, when it ended.
    var progress_ns: UInt64 = 0
    var hasGathered = false
    /// What the other end may reach.
    var window: OpaquePointer?
    /// Where its pushes are written; nil: they are sent.
    var pushBuffers: PushBuffers?
  }

  /// As it was given.
  public let name: VerbsAddress
  /// The device's name.
  public let device: String
  /// The device's IP address.
  public let address: String
  /// Whom its connections lead to.
  public let directory = PeerDirectory()
  public internal(set) var counters = SendCounters()
  public internal(set) var refusals = RefusalCounters()
  /// Set before anything else is called in a turn of the loop; of the monotonic clock.
  public var now_ns: UInt64 = 0

  let verbs: OpaquePointer
  let isServer: Bool
  let options: Options
  let connections: UnsafeMutablePointer<Connection>
  /// Entries of `connections`. A server has as many again as connections at a time: one that has ended keeps its entry
  /// until what was under way has come back, and must not keep somebody out who begins at once.
  let entryCount: Int
  var numbers: NumberTable
  var isGone = false

  // Receiving.
  let receiveBuffers: RegisteredBuffers
  let batch: UnsafeMutablePointer<memx_verbs_completion>
  var batchCount = 0
  var batchPosition = 0
  var held: Int?

  // Sending.
  let sendBuffers: RegisteredBuffers
  let freeSends: UnsafeMutablePointer<UInt32>
  var freeSendCount = 0
  /// Of each buffer that is on its way, the connection's entry.
  let sendOwners: UnsafeMutablePointer<UInt16>
  let sent: UnsafeMutablePointer<memx_verbs_completion>
  /// Connections with something gathered.
  let dirty: UnsafeMutablePointer<UInt16>
  var dirtyCount = 0
  /// The frame under way: its buffer, its bytes so far, whom it is for.
  var openBuffer = -1
  var openBytes = 0
  var openConnection = 0
  var openPeer = MACAddress(value: 0)
  /// The number of its first push, if it is to be written and not sent.
  var openPush: UInt32?

  /// Memory that windows can be opened on.
  var exposed: [ExposedMemory] = []
  /// What a client's server may write pushes to.
  var pushBuffers: RegisteredBuffers?

  // One-sided operations of a client's, done.
  let finished: UnsafeMutablePointer<Finished>
  var finishedCount = 0

  // Connections that have ended since they were last asked for.
  let ended: UnsafeMutablePointer<EndedConnection>
  var endedCount = 0

  static var batchCapacity: Int { 16 }
  static var nobody: UInt16 { .max }

  /// Waits for connections.
  ///
  /// - Throws: `LinkError`: the libraries, the device or the address are missing, or in use.
  public init(listening name: VerbsAddress, options: Options = Options()) throws(LinkError) {
    var failure = memx_verbs_failure()
    try Self.checkLibraries(name)
    var limits = Self.limits(options)
    let verbs = memx_verbs_listen(name.host, name.port, &limits, &failure)
    guard let verbs else { throw Self.error(name, failure) }
    let buffers = try Self.register(verbs, name, options)
    self.init(verbs, name, buffers, isServer: true, options: options)
  }

  /// Connects to a server.
  ///
  /// - Parameter timeout_ms: of each of the three steps that this takes.
  /// - Throws: `LinkError`; with `ECONNREFUSED` when a server refuses, or nothing listens there.
  public init(
    connecting name: VerbsAddress, options: Options = Options(), timeout_ms: Int32 = 2000
  ) throws(LinkError) {
    var failure = memx_verbs_failure()
    try Self.checkLibraries(name)
    var answer = memx_verbs_event()
    var hello = Hello(
      frameBytes: Self.frameBytes, receives: options.receives, version: options.version
    ).raw
    var limits = Self.limits(options)
    let verbs = withUnsafeBytes(of: &hello) { bytes in
      limits.private_data = bytes.baseAddress
      limits.private_bytes = UInt32(bytes.count)
      return memx_verbs_connect(name.host, name.port, &limits, timeout_ms, &answer, &failure)
    }
    let said = withUnsafeBytes(of: &answer.private_data) {
      (bytes) -> Result<Hello, Refusal> in
      do throws(Refusal) {
        return .success(
          try Hello(UnsafeRawBufferPointer(rebasing: bytes[..<Int(answer.private_bytes)])))
      } catch { return .failure(error) }
    }
    guard let verbs else {
      if failure.code == ECONNREFUSED { throw Self.refusal(name, said) }
      throw Self.error(name, failure)
    }
    guard case .success(let hello) = said else {
      memx_verbs_close(verbs)
      throw LinkError(
        "link rdma:\(name): what answers there is no memory server of this version", code: EPROTO)
    }
    let buffers = try Self.register(verbs, name, options)
    self.init(verbs, name, buffers, isServer: false, options: options)
    connections[0].phase = .open
    connections[0].handle = memx_verbs_connected(verbs)
    connections[0].sendLimit = min(options.sends, hello.receives)
    numbers.insert(memx_verbs_number(connections[0].handle), 0)
  }

  /// Both directions' buffers; without them the device is closed.
  private static func register(
    _ verbs: OpaquePointer, _ name: VerbsAddress, _ options: Options
  ) throws(LinkError) -> (receives: RegisteredBuffers, sends: RegisteredBuffers) {
    let receives = RegisteredBuffers(verbs, count: options.receives, stride: stride)
    if let receives, let sends = RegisteredBuffers(verbs, count: options.sends, stride: stride) {
      return (receives, sends)
    }
    let code = errno
    receives?.free()
    memx_verbs_close(verbs)
    throw LinkError(
      "link rdma:\(name): cannot register \((options.receives + options.sends) * stride) bytes of"
        + " buffers: \(Errno(rawValue: code)) (raise the limit of locked memory: ulimit -l, or"
        + " LimitMEMLOCK= in the unit)", code: code)
  }

  private init(
    _ verbs: OpaquePointer, _ name: VerbsAddress,
    _ buffers: (receives: RegisteredBuffers, sends: RegisteredBuffers), isServer: Bool,
    options: Options
  ) {
    precondition((1...4096).contains(options.connections))
    self.verbs = verbs
    self.name = name
    self.isServer = isServer
    self.options = options
    device = String(cString: memx_verbs_device_name(verbs))
    address = Self.text { memx_verbs_local_address(verbs, $0) }
    receiveBuffers = buffers.receives
    sendBuffers = buffers.sends
    entryCount = isServer ? 2 * options.connections : 1
    connections = .allocate(capacity: entryCount)
    connections.initialize(repeating: Connection(), count: entryCount)
    numbers = NumberTable(capacity: entryCount)
    batch = .allocate(capacity: Self.batchCapacity)
    batch.initialize(repeating: memx_verbs_completion(), count: Self.batchCapacity)
    sent = .allocate(capacity: Self.batchCapacity)
    sent.initialize(repeating: memx_verbs_completion(), count: Self.batchCapacity)
    freeSends = .allocate(capacity: options.sends)
    for index in 0..<options.sends { freeSends[index] = UInt32(index) }
    freeSendCount = options.sends
    sendOwners = .allocate(capacity: options.sends)
    sendOwners.initialize(repeating: Self.nobody, count: options.sends)
    dirty = .allocate(capacity: entryCount)
    ended = .allocate(capacity: entryCount)
    finished = .allocate(capacity: max(1, options.oneSided))
    for index in 0..<options.receives { post(receive: index) }
  }

  deinit {
    if isServer {
      for index in 0..<entryCount where connections[index].phase != .free {
        memx_verbs_disconnect(connections[index].handle)
        if let window = connections[index].window { _ = memx_verbs_close_window(window) }
        memx_verbs_destroy(connections[index].handle)
      }
    } else {
      memx_verbs_disconnect(connections[0].handle)
    }
    for memory in exposed { memx_verbs_deregister(memory.handle) }
    pushBuffers?.free()
    receiveBuffers.free()
    sendBuffers.free()
    memx_verbs_close(verbs)
    connections.deallocate()
    batch.deallocate()
    sent.deallocate()
    freeSends.deallocate()
    sendOwners.deallocate()
    dirty.deallocate()
    ended.deallocate()
    finished.deallocate()
  }

  // MARK: What it is like

  /// Is the device's port up? nil when the device, or its address, is gone.
  public var isUp: Bool? {
    guard !isGone else { return nil }
    let answer = memx_verbs_port_up(verbs)
    return answer < 0 ? nil : answer == 1
  }

  private static func limits(_ options: Options) -> memx_verbs_limits {
    var limits = memx_verbs_limits()
    limits.receives = UInt32(options.receives)
    // A connection's windows complete there too.
    limits.sends = UInt32(options.sends + options.connections * 4 + options.oneSided)
    limits.connection_sends = UInt32(options.sends + options.oneSided)
    return limits
  }

  private static func checkLibraries(_ name: VerbsAddress) throws(LinkError) {
    if let missing = memx_verbs_missing() {
      throw LinkError("link rdma:\(name): \(String(cString: missing))", code: ENOSYS)
    }
  }

  private static func error(_ name: VerbsAddress, _ failure: memx_verbs_failure) -> LinkError {
    LinkError(
      "link rdma:\(name): cannot \(String(cString: failure.step)): \(Errno(rawValue: failure.code))",
      code: failure.code)
  }

  private static func refusal(_ name: VerbsAddress, _ said: Result<Hello, Refusal>) -> LinkError {
    switch said {
    case .success(let hello) where hello.status != .ok:
      LinkError("link rdma:\(name): \(hello.status)", code: ECONNREFUSED)
    case .failure(let refusal) where refusal.status == .badVersion:
      LinkError("link rdma:\(name): \(refusal.status)", code: ECONNREFUSED)
    default:
      LinkError(
        "link rdma:\(name): nothing listens on port \(name.port) there; is memxd running with --link"
          + " rdma:…, on this port?", code: ECONNREFUSED)
    }
  }

  static func text(_ fill: (UnsafeMutablePointer<CChar>) -> Void) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(MEMX_VERBS_ADDRESS_BYTES)) {
      $0.initialize(repeating: 0)
      fill($0.baseAddress!)
      return String(cString: $0.baseAddress!)
    }
  }

}
