// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What one scenario has to itself: a namespace, a directory for logs, guests, servers.
public struct Bed: Sendable {
  /// What guests boot from.
  public let parts: Lab.Parts
  /// The namespace with the guests' cables.
  public let namespace: Namespace
  /// Where logs go.
  public let directory: FilePath
  /// What it is part of.
  let lab: Lab
  /// Tells what goes on.
  public var progress: Progress { lab.progress }

  /// Runs `body` on a new bed and clears it away afterwards.
  ///
  /// The logs are removed when `body` succeeds, unless `logs` names a directory to keep them in.
  public static func with<R: Sendable>(
    _ lab: Lab, _ series: KernelSeries, withModule: Bool = true, withRDMA: Bool = false,
    logs: FilePath? = nil,
    _ body: @Sendable (Bed) async throws -> R
  ) async throws -> R {
    let parts = try await lab.parts(for: series, withModule: withModule, withRDMA: withRDMA)
    return try await LogDirectory.with(logs) { directory in
      try await Namespace.with { namespace in
        try await namespace.addTap("tap0", mtu: 9000)
        return try await body(
          Bed(parts: parts, namespace: namespace, directory: directory, lab: lab))
      }
    }
  }

  /// Boots a guest, runs `body`, and ends the guest in order.
  ///
  /// - Parameter tolerated: signs in the kernel's messages that the scenario brings about itself.
  /// - Throws: ``LabError`` also when the kernel's messages have signs of trouble.
  public func withGuest<R: Sendable>(
    _ machine: Machine = Machine(), tolerated: Set<String> = [],
    _ body: @Sendable (Guest) async throws -> R
  ) async throws -> R {
    progress.note("guest with \(parts.kernel.release), \(machine.memory_mib) MiB: booting")
    let directory = directory.appending(machine.name)
    let argv = machine.commandLine(
      accelerator: parts.accelerator, kernel: parts.kernel, ramdisk: parts.ramdisk,
      programs: parts.programs, directory: directory)
    let guest = try await Guest.boot(
      namespace.command(argv), directory: directory, timeout: .seconds(90))
    let result: R
    do {
      result = try await body(guest)
      let log = try await guest.kernelLog()
      try Files.write(log, to: directory.appending("dmesg.log"))
      try await guest.shutdown()
    } catch {
      if let log = try? await guest.lastWords() {
        try? Files.write(log, to: directory.appending("dmesg.log"))
      }
      await guest.kill()
      let signs = trouble(in: directory, tolerated)
      guard signs.isEmpty else {
        throw LabError("\(error); the guest's kernel said:\n\(signs.joined(separator: "\n"))")
      }
      throw error
    }
    let signs = trouble(in: directory, tolerated)
    guard signs.isEmpty else {
      throw LabError("the guest's kernel said:\n\(signs.joined(separator: "\n"))")
    }
    return result
  }

  /// Starts memxd on the guest's cable.
  public func server(_ options: Server.Options = Server.Options()) async throws -> Server {
    try await Server.start(options, in: namespace, directory: directory)
  }

  private func trouble(in directory: FilePath, _ tolerated: Set<String>) -> [String] {
    ["console.log", "dmesg.log"].flatMap { name in
      let log = (try? Files.readText(directory.appending(name))) ?? ""
      return Array(KernelLog.trouble(in: log, tolerated: tolerated).prefix(10))
    }
  }
}
