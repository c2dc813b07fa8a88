// SPDX-License-Identifier: Apache-2.0
import CMemx
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
  private let available_bytes: () -> UInt64
  /// What xl needs beyond the guest's memory, in MiB: its page tables and the hypervisor's own records.
  private static var reserve_mib: UInt64 { 16 }
  /// What this host's own programs need beyond pages that are kept, in bytes.
  private static var spare_bytes: UInt64 { 64 << 20 }
  /// The most memory of a domain, as PFNs of 32 bits go ahead: 16 TiB.
  private static var most_mib: UInt64 { 16 << 20 }

  /// - Parameters:
  ///   - store: dom0's XenStore.
  ///   - input: what the source says, and the stream of the guest.
  ///   - output: what the source hears.
  ///   - available_bytes: how much memory programs of this host can have.
  public init(
    store: any XenStoreConnection, toolstack: Toolstack = Toolstack(), input: Int32, output: Int32,
    available_bytes: @escaping () -> UInt64 = { MemoryFigures.current.availableBytes }
  ) {
    self.toolstack = toolstack
    self.available_bytes = available_bytes
    self.store = Store(connection: store)
    channel = LineChannel(input: input, output: output)
  }

  /// Receives one guest, and returns when all of its pages have come.
  ///
  /// - Throws: ``Failure``; the source has been told, too.
  public mutating func run() throws(Failure) {
    do throws(RunFailure) {
      let (name, memory_pages) = try greet()
      try takeIn(name, memory_pages)
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

  /// - Returns: the domain's name, and the pages of its memory.
  private mutating func greet() throws(RunFailure) -> (name: String, memory_pages: UInt64) {
    guard case .line(let hello) = channel.receive(timeout_ms: 60_000), hello.word == "memx-migrate",
      let name = hello.values["domain"]
    else {
      throw RunFailure("what came is no migration: memxctl migrate starts this program")
    }
    guard hello.values["version"] == "\(Line.version)" else {
      throw refuse("the source speaks another version of this program; install the same")
    }
    let free_mib: UInt64
    do throws(RunFailure) {
      free_mib = try toolstack.freeMemory_mib()
    } catch {
      throw refuse(error.description)
    }
    let memory_mib = hello.number("memory_mib")
    guard memory_mib <= Self.most_mib else {
      throw refuse("a domain of \(memory_mib) MiB is more than there can be")
    }
    let wanted_mib = memory_mib + Self.reserve_mib
    guard free_mib >= wanted_mib else {
      throw refuse("\(free_mib) MiB are free here, \(wanted_mib) MiB are needed")
    }
    if (try? toolstack.domain(name)) != nil {
      throw refuse("a domain called \(name) is here already")
    }
    say(Line("ready", ["free_mib": "\(free_mib)"]))
    return (name, memory_mib * 256)
  }

  /// Takes in what comes ahead, and then the guest, which runs then.
  private mutating func takeIn(_ name: String, _ memory_pages: UInt64) throws(RunFailure) {
    var image = ImageReceiver(input: channel.input)
    while case .line(let line) = channel.receive(timeout_ms: -1) {
      switch line.word {
      case "stream": return try restore(name, &image)
      case "precopy":
        let pages = line.number("pages")
        guard pages <= memory_pages else {
          throw RunFailure("the source wants to send more pages than the guest has")
        }
        guard pages * 4096 + Self.spare_bytes <= available_bytes() else {
          say(Line("declined"))
          continue
        }
        say(Line("ready"))
        guard image.receiveAhead(most: Int(pages)) else { throw Self.gaveUp }
      default: throw Self.gaveUp
      }
    }
    throw Self.gaveUp
  }

  private static var gaveUp: RunFailure {
    RunFailure("the source gave up before it sent the guest")
  }

  private func restore(_ name: String, _ image: inout ImageReceiver) throws(RunFailure) {
    let (data, messages) = (try Pipe(), try Pipe())
    let xl = try toolstack.restore(input: data.readEnd, errors: messages.writeEnd)
    data.closeReadEnd()
    messages.closeWriteEnd()
    _ = memx_pipe_resize(data.writeEnd, 1 << 20)
    pumping: while xl.poll() == nil {
      switch image.step(to: data.writeEnd) {
      case .moved, .idle: continue
      case .end, .broken: break pumping
      }
    }
    data.closeWriteEnd()
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
    // The end is to be told at once. Figures change so often that reading each change would take dom0's processor
    // from the pages.
    try store.watch("\(guest.path)/state")
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

  /// Waits until the guest's state changes, or for half a second.
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
