// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Control
import Glibc
import Migration
import Xen

struct Migrate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Migrate a running Xen guest to another host by post-copy.",
    discussion: """
      Runs in dom0. The guest pages out while it runs, and what it cannot page out is sent ahead; it is \
      suspended for as long as what has changed since takes to move, goes on at the target, and its \
      pages follow. Until it runs at the target \
      an interrupt (Ctrl-C) cancels, and it runs on here. On both hosts memxd --xen has to run.
      """)

  @Argument(help: "The domain's name.")
  var domain: String

  @Argument(help: "The target's host name, or what --ssh-command takes last.")
  var target: String

  @Option(
    help: ArgumentHelp(
      "Reaches the target instead of ssh; given to sh. Empty: run TARGET itself as a command "
        + "whose input and output reach memxctl receive.", valueName: "command"))
  var sshCommand = "ssh"

  @Option(
    help: ArgumentHelp(
      "Which page goes next: demand-only, push, bubble-dual-multi+lru, streams and others, as "
        + "memxd --help has them. Left out, memxd's choice.", valueName: "name"))
  var strategy: String?

  @Option(
    help: ArgumentHelp(
      "Push at most so many bytes a second, with K, M, G if need be. Left out, as many as the "
        + "network carries.", valueName: "bytes"),
    transform: { try ByteSize(parsing: $0).bytes })
  var rate: UInt64?

  @Option(
    help: ArgumentHelp(
      "Page out for so long at most before the guest is suspended, 1 to 3600 (default: 120).",
      valueName: "seconds"),
    transform: { try Word.number($0, in: 1...3600, unit: "seconds") })
  var prepareLimit: Int?

  @OptionGroup var output: Output

  func run() throws {
    Cancellation.begin()
    try output.report { () throws(Failure) in
      var request = MigrationRequest(domain: domain, channel: channel)
      request.strategy = strategy ?? ""
      request.rate_bytes_s = rate ?? 0
      if let prepareLimit { request.prepare_s = prepareLimit }
      let display = PhaseDisplay()
      var migration = SourceMigration(
        request, store: try openStore(), mapper: try openMemory(),
        isCancelled: { Cancellation.isWanted },
        progress: { display.show($0) })
      defer { display.finish() }
      let report = try migration.run()
      display.finish()
      if output.json {
        printLine(report.json.line)
      } else {
        for line in report.table { printLine(line) }
      }
    }
  }

  /// As `xl migrate -s` has it.
  private var channel: [String] {
    let command = sshCommand.isEmpty ? target : "\(sshCommand) \(target) memxctl receive"
    return ["/bin/sh", "-c", "exec \(command)"]
  }
}

/// XenStore, or why there is none.
func openStore() throws(Failure) -> XenStore {
  do throws(XenError) {
    return try XenStore()
  } catch {
    throw Failure(.failed, error.description)
  }
}

/// Access to guests' memory, or why there is none.
private func openMemory() throws(Failure) -> ForeignMemory {
  do throws(XenError) {
    return try ForeignMemory()
  } catch {
    throw Failure(.failed, error.description)
  }
}
