// SPDX-License-Identifier: Apache-2.0
import Console
import Control
import Glibc
import Processes
import Xen

/// The target's end of a migration: takes in the guest, and tells the source how its pages come.
public struct TargetReceiver {
  private let store: Store
  private let toolstack: Toolstack
  private var channel: LineChannel
  /// What xl needs beyond the guest's memory, in MiB: its page tables and the hypervisor's own records.
  private static var reserve_mib: UInt64 { 16 }

  /// - Parameters:
  ///   - store: dom0's XenStore.
  ///   - input: what the source says, and the stream of the guest.
  ///   - output: what the source hears.
  public init(
    store: any XenStoreConnection, toolstack: Toolstack = Toolstack(), input: Int32, output: Int32
  ) {
    self.toolstack = toolstack
    self.store = Store(connection: store)
    channel = LineChannel(input: input, output: output)
  }

  /// Receives one guest, and returns when all of its pages have come.
  ///
  /// - Throws: ``Failure``; the source has been told, too.
  public mutating func run() throws(Failure) {
    do throws(RunFailure) {
      let (name, compression) = try greet()
      try restore(name, compression)
      // The guest runs: whoever measures the downtime hears of it before anything else.
      say(Line("resumed"))
      try follow(try toolstack.domain(name))
    } catch {
      throw Failure(.failed, error.description)
    }
  }

  private func say(_ line: Line) { _ = channel.send(line) }

  private func refuse(_ reason: String) -> RunFailure {
    say(Line("refused", ["text": reason]))
    return RunFailure("refused: \(reason)")
  }

  /// - Returns: the domain's name, and how its stream is packed.
  private mutating func greet() throws(RunFailure) -> (name: String, Compression?) {
    guard case .line(let hello) = channel.receive(timeout_ms: 60_000), hello.word == "memx-migrate",
      let name = hello.values["domain"]
    else {
      throw RunFailure("what came is no migration: memxctl migrate starts this program")
    }
    guard hello.values["version"] == "1" else {
      throw refuse("the source speaks another version of this program; install the same")
    }
    var compression: Compression?
    if let word = hello.values["compression"] {
      compression = Compression(rawValue: word)
      guard let compression else {
        throw refuse("the guest would come packed by an unknown program")
      }
      do throws(RunFailure) { try compression.path() } catch { throw refuse(error.description) }
    }
    let free_mib: UInt64
    do throws(RunFailure) {
      free_mib = try toolstack.freeMemory_mib()
    } catch {
      throw refuse(error.description)
    }
    let wanted_mib = hello.number("memory_mib") + Self.reserve_mib
    guard free_mib >= wanted_mib else {
      throw refuse("\(free_mib) MiB are free here, \(wanted_mib) MiB are needed")
    }
    if (try? toolstack.domain(name)) != nil {
      throw refuse("a domain called \(name) is here already")
    }
    say(Line("ready", ["free_mib": "\(free_mib)"]))
    guard case .line(let go) = channel.receive(timeout_ms: -1), go.word == "stream" else {
      throw RunFailure("the source gave up before it sent the guest")
    }
    return (name, compression)
  }

  /// Takes the guest in, which runs then.
  private func restore(_ name: String, _ compression: Compression?) throws(RunFailure) {
    let (data, messages) = (try Pipe(), try Pipe())
    let xl = try toolstack.restore(input: data.readEnd, errors: messages.writeEnd)
    data.closeReadEnd()
    messages.closeWriteEnd()
    var stream = try IncomingGuest(data, input: channel.input, compression)
    pumping: while xl.poll() == nil {
      switch stream.step() {
      case .moved, .idle: continue
      case .end, .broken: break pumping
      }
    }
    stream.close()
    guard xl.wait() == 0 else {
      // Whatever is half made must not be taken for the guest.
      if let rest = try? toolstack.domain(name) { try? toolstack.destroy(rest) }
      let reason = "xl restore failed: \(lastLines(messages.readEnd))"
      say(Line("failed", ["text": reason]))
      throw RunFailure(reason)
    }
  }

  private func follow(_ domain: Int) throws(RunFailure) {
    let guest = GuestKeys(store, domain: domain)
    try store.watch(guest.path)
    var last = Line("progress")
    while true {
      let state = try guest.state()
      if state == .complete || state == .failed {
        var values = try figures(guest)
        if state == .failed { values["text"] = try guest.text("error") ?? "" }
        say(Line(state == .complete ? "complete" : "failed", values))
        if state == .failed { throw RunFailure("the guest lost pages: \(values["text"] ?? "")") }
        return
      }
      guard try store.exists(domain) else {
        say(Line("gone"))
        throw RunFailure("the guest ended before all of its pages had moved")
      }
      let now = Line("progress", try figures(guest))
      if now != last { say(now) }
      last = now
      // A guest that came as a whole has nothing to say; then the source hangs up.
      if try awaitChange(), state == nil { return }
    }
  }

  /// Waits until XenStore says something, or for half a second.
  ///
  /// - Returns: whether the source has hung up.
  private func awaitChange() throws(RunFailure) -> Bool {
    var ready = [
      pollfd(fd: store.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: channel.input, events: 0, revents: 0),
    ]
    if poll(&ready, 2, 500) > 0 { try store.takeChanges() }
    return ready[1].revents != 0
  }

  private func figures(_ guest: GuestKeys) throws(RunFailure) -> [String: String] {
    var values: [String: String] = [:]
    for name in [
      "missing", "pushed", "fetched", "network_faults", "minor_faults", "unused", "longest_wait_us",
    ] {
      values[name] = "\(try guest.number(name) ?? 0)"
    }
    return values
  }
}
