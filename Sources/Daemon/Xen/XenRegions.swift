// SPDX-License-Identifier: Apache-2.0
import Glibc
import Logging
import MemoryServer
import PageStore
import RMAP
import Xen

/// Serves the frames of frozen guests, as `memxctl migrate` asks for it in XenStore.
///
/// `serve/DOMID` in dom0's directory names region and token; once the guest has published the root of its frame
/// tree the frames are mapped and served. They are unmapped when the directory or the domain goes, or when the guest
/// takes its frames back. Nothing is kept elsewhere: a memxd that starts anew finds everything here. Used from one
/// thread.
package final class XenRegions {
  private let store: any TransactionalXenStore
  private let mapper: any FrameMapper
  private let server: MemoryServer
  private let logger: Logger
  private var domains: [Int: ServedDomain] = [:]
  /// Domains about which XenStore may say something new.
  private var toLookAt: Set<Int> = []
  /// Regions that an engine still has.
  private var leaving: [ForeignRegion] = []

  /// How often progress is written at most.
  private static let progress_ns: UInt64 = 1_000_000_000
  /// Of 10 ms each; an engine takes 50 ms.
  private static let dropTries = 500

  /// Begins to watch XenStore.
  package init(
    store: any TransactionalXenStore, mapper: any FrameMapper, server: MemoryServer, logger: Logger
  ) throws(XenError) {
    self.store = store
    self.mapper = mapper
    self.server = server
    self.logger = logger
    try store.watch(ServePaths.serve, token: "serve")
    try store.watch("@releaseDomain", token: "release")
  }

  /// How long `work` may wait at most, in ms.
  package var patience_ms: Int {
    if !leaving.isEmpty { return 10 }
    return domains.values.contains { $0.state == .serving } ? 200 : 60_000
  }

  /// Takes in a change in XenStore.
  package func take(_ event: XenStoreEvent) throws(XenError) {
    switch event.token {
    case "serve": try take(changed: event.path)
    case "release": toLookAt.formUnion(domains.keys)
    default: if let domain = Int(event.token) { toLookAt.insert(domain) }
    }
  }

  private func take(changed path: String) throws(XenError) {
    guard path.hasPrefix(ServePaths.serve + "/") else {
      // At the start, and when the whole directory went.
      let names = try store.list(ServePaths.serve) ?? []
      toLookAt.formUnion(names.compactMap { ServePaths.domain($0) })
      toLookAt.formUnion(domains.keys)
      return
    }
    let words = path.dropFirst(ServePaths.serve.count + 1).split(separator: "/")
    // What memxd itself writes there is no news.
    guard let domain = words.first.flatMap({ ServePaths.domain($0) }),
      words.count == 1 || words[1] == "region" || words[1] == "token"
    else { return }
    toLookAt.insert(domain)
  }

  /// Does what has become due.
  package func work(now_ns: UInt64) throws(XenError) {
    leaving.removeAll { server.withdraw($0) }
    for domain in toLookAt.sorted() {
      if try look(at: domain) { toLookAt.remove(domain) }
    }
    for (domain, served) in domains where served.state == .serving {
      try follow(domain, now_ns: now_ns)
    }
  }

  /// Has every region go, and waits for the engines to give them back.
  package func dropAll() {
    for domain in domains.keys { drop(domain) }
    domains = [:]
    var tries = 0
    while !leaving.isEmpty, tries < Self.dropTries {
      usleep(10_000)
      leaving.removeAll { server.withdraw($0) }
      tries += 1
    }
  }

  /// Makes of a domain what XenStore says; false when it has to be looked at again, since the region that it had
  /// is still leaving.
  private func look(at domain: Int) throws(XenError) -> Bool {
    guard try store.list(ServePaths.serve(domain)) != nil else {
      try forget(domain)
      return true
    }
    if domains[domain] == nil {
      domains[domain] = try find(domain)
      try store.watch(ServePaths.root(domain), token: "\(domain)")
    }
    let isThere = try store.isIntroduced(domain: domain)
    let order = try readOrder(domain, isThere: isThere)
    let served = domains[domain]!
    let hasGone = !isThere && (served.region != nil || served.state == .waiting)
    guard order != served.order || hasGone else { return true }
    drop(domain)
    // The region that comes may have the name of one that leaves.
    guard leaving.isEmpty else { return false }
    domains[domain]!.order = order
    guard let order else {
      domains[domain]!.state = .waiting
      return true
    }
    // After the end nothing more comes of an order, whatever becomes of the domain.
    if served.state == .complete, served.order?.region ?? order.region == order.region {
      return true
    }
    if served.order != nil { domains[domain]!.before = RegionProgress() }
    if isThere { try begin(domain, order) } else { try fail(domain, "the domain is gone") }
    return true
  }

  private func forget(_ domain: Int) throws(XenError) {
    drop(domain)
    guard domains.removeValue(forKey: domain) != nil else { return }
    try store.unwatch(ServePaths.root(domain), token: "\(domain)")
  }

  /// A domain whose directory is new to this memxd; an earlier one may have served it.
  private func find(_ domain: Int) throws(XenError) -> ServedDomain {
    let path = ServePaths.serve(domain)
    var served = ServedDomain()
    if try store.read("\(path)/state") == ServedDomain.State.complete.rawValue {
      served.state = .complete
    }
    served.before.pushed = UInt64(try store.read("\(path)/pushed") ?? "") ?? 0
    served.before.fetched = UInt64(try store.read("\(path)/fetched") ?? "") ?? 0
    return served
  }

  /// nil until `memxctl` has written everything.
  private func readOrder(
    _ domain: Int, isThere: Bool
  ) throws(XenError) -> ServedDomain.Order? {
    let path = ServePaths.serve(domain)
    guard let region = try store.read("\(path)/region"),
      let token = try store.read("\(path)/token")
    else { return nil }
    let root = isThere ? try store.read(ServePaths.root(domain)) : nil
    return ServedDomain.Order(region: region, token: token, root: root)
  }

  private func begin(_ domain: Int, _ order: ServedDomain.Order) throws(XenError) {
    guard let root = order.root else {
      domains[domain]!.state = .waiting
      return try tell(domain, ["state": "waiting", "error": ""])
    }
    guard let memory = UInt64(try store.read(ServePaths.memory(domain)) ?? "") else {
      return try fail(domain, "XenStore does not say how much memory the domain may have")
    }
    let region: ForeignRegion
    let unreadable: (count: Int, error: Int32)
    do {
      let pages = try map(domain, root: root, limit: Int(clamping: memory / 4))
      unreadable = (pages.unreadable, pages.lastError)
      region = try server.serve(pages, as: try Self.access(order))
    } catch {
      return try fail(domain, "\(error)")
    }
    domains[domain]!.region = region
    domains[domain]!.state = .serving
    domains[domain]!.written = nil
    var text = ""
    if unreadable.count > 0 {
      text =
        "\(unreadable.count) pages cannot be read: frames of theirs cannot be mapped:"
        + " \(XenError("the last", code: unreadable.error))"
      logger.error("pages cannot be read", metadata: ["domain": "\(domain)", "reason": "\(text)"])
    }
    let pages = region.progress.remaining
    logger.notice(
      "serving a domain's frames",
      metadata: ["domain": "\(domain)", "region": "\(order.region)", "pages": "\(pages)"])
    try tell(domain, ["state": "serving", "error": text, "pages": "\(pages)"])
  }

  private func map(
    _ domain: Int, root text: String, limit: Int
  ) throws(StoreError) -> ForeignPages {
    let tree = try FrameTree(
      FrameTree.Root(parsing: text), of: domain, limit: limit, mapper: mapper)
    return try ForeignPages(tree, mapper: mapper)
  }

  private static func access(
    _ order: ServedDomain.Order
  ) throws(ConfigurationError) -> RegionConfiguration {
    guard let name = RegionName(order.region) else {
      throw ConfigurationError("'\(order.region)' is no region's name")
    }
    guard !order.token.isEmpty, let token = Token(order.token) else {
      throw ConfigurationError(
        "region \(name): its token has \(order.token.utf8.count) bytes; 1 to \(Wire.tokenBytes) are"
          + " allowed")
    }
    return RegionConfiguration(name: name, byteCount: 0, token: token)
  }

  /// Writes how far a domain's pages have moved, once a second at most, and that they all have, at once.
  private func follow(_ domain: Int, now_ns: UInt64) throws(XenError) {
    guard let served = domains[domain], let region = served.region else { return }
    var progress = region.progress
    progress.pushed += served.before.pushed
    progress.fetched += served.before.fetched
    guard progress != served.written else { return }
    guard progress.hasEnded || now_ns &- served.written_ns >= Self.progress_ns else { return }
    domains[domain]!.written = progress
    domains[domain]!.written_ns = now_ns
    var values = [
      "pushed": "\(progress.pushed)", "fetched": "\(progress.fetched)",
      "remaining": "\(progress.remaining)",
    ]
    if progress.hasEnded {
      values["state"] = "complete"
      domains[domain]!.state = .complete
      logger.notice(
        "every page of a domain has moved",
        metadata: [
          "domain": "\(domain)", "pushed": "\(progress.pushed)", "fetched": "\(progress.fetched)",
        ])
    }
    try tell(domain, values)
  }

  private func fail(_ domain: Int, _ reason: String) throws(XenError) {
    // XenStore takes 4 KiB, path included.
    let reason = String(reason.prefix(1000))
    domains[domain]!.state = .failed
    logger.error(
      "cannot serve a domain's frames", metadata: ["domain": "\(domain)", "reason": "\(reason)"])
    try tell(domain, ["state": "failed", "error": reason])
  }

  /// Has the domain's region go, if it has one.
  private func drop(_ domain: Int) {
    guard let region = domains[domain]?.region else { return }
    domains[domain]!.region = nil
    if !server.withdraw(region) { leaving.append(region) }
    logger.info("a domain's frames are given up", metadata: ["domain": "\(domain)"])
  }

  /// Writes into the domain's directory, as long as it is about this order.
  private func tell(_ domain: Int, _ values: [String: String]) throws(XenError) {
    guard let order = domains[domain]?.order else { return }
    let path = ServePaths.serve(domain)
    let texts = Dictionary(uniqueKeysWithValues: values.map { ("\(path)/\($0)", $1) })
    _ = try store.write(texts, if: "\(path)/region", is: order.region)
  }
}
