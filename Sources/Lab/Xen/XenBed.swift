// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What one scenario on Xen has to itself: hosts, their network, a directory for logs.
public struct XenBed: Sendable {
  /// What hosts and guests boot from.
  public let parts: XenParts
  /// The namespace with the hosts' cables.
  public let namespace: Namespace
  /// Where logs go.
  public let directory: FilePath
  /// Tells what goes on.
  public let progress: Progress

  /// Runs `body` on a new bed and clears it away afterwards.
  ///
  /// The logs are removed when `body` succeeds, unless `logs` names a directory to keep them in.
  static func with<R: Sendable>(
    _ lab: Lab, _ series: KernelSeries, logs: FilePath? = nil,
    _ body: @Sendable (XenBed) async throws -> R
  ) async throws -> R {
    let parts = try await lab.xenParts(for: series)
    return try await LogDirectory.with(logs) { directory in
      try await Namespace.with { namespace in
        try await body(
          XenBed(
            parts: parts, namespace: namespace, directory: directory, progress: lab.progress))
      }
    }
  }

  /// Boots hosts side by side, runs `body`, and ends them.
  ///
  /// - Parameter tolerated: signs in the kernels' messages that the scenario brings about itself.
  /// - Throws: ``LabError`` also when the messages of hypervisor, dom0 or guests have signs of
  ///   trouble.
  func withHosts<R: Sendable>(
    _ machines: [XenMachine], tolerated: Set<String> = [],
    _ body: @Sendable ([XenHost], XenNetwork) async throws -> R
  ) async throws -> R {
    let network = try await XenNetwork.make(in: namespace, hosts: machines)
    progress.note("\(machines.count == 1 ? "a Xen host" : "\(machines.count) Xen hosts"): booting")
    let hosts = try await boot(machines)
    let result: Result<R, any Error>
    do { result = .success(try await body(hosts, network)) } catch { result = .failure(error) }
    // In a task of its own: what guests said is wanted also of a run that has been interrupted.
    let signs = await Task.detached {
      var signs: [String] = []
      for host in hosts { signs += await end(host, tolerated) }
      return signs
    }.value
    guard signs.isEmpty else {
      let said = "there were messages of trouble:\n\(signs.joined(separator: "\n"))"
      if case .failure(let error) = result { throw LabError("\(error); \(said)") }
      throw LabError(said)
    }
    return try result.get()
  }

  /// Creates a guest and waits until it takes commands.
  func guest(
    _ configuration: XenGuest.Configuration, on host: XenHost
  ) async throws -> XenGuest {
    progress.note(
      "guest with \(parts.guestKernel.release), \(configuration.memory_mib) MiB, on"
        + " \(host.machine.name): booting")
    return try await XenGuest.create(
      configuration, on: host, in: namespace, directory: directory)
  }

  private func boot(_ machines: [XenMachine]) async throws -> [XenHost] {
    try await withThrowingTaskGroup(of: XenHost.self) { group in
      for machine in machines {
        group.addTask {
          try await XenHost.boot(
            machine, parts, in: namespace, directory: directory.appending(machine.name))
        }
      }
      var hosts: [XenHost] = []
      do {
        for try await host in group { hosts.append(host) }
      } catch {
        group.cancelAll()
        for host in hosts { await host.kill() }
        throw error
      }
      return hosts.sorted { $0.machine.number < $1.machine.number }
    }
  }

  /// Writes down what a host and its guests have to say, ends it, and returns the signs of trouble.
  private func end(_ host: XenHost, _ tolerated: Set<String>) async -> [String] {
    let directory = directory.appending(host.machine.name)
    if let consoles = try? await host.consoles() {
      try? Files.write(consoles, to: directory.appending("guests.log"))
    }
    if let said = try? await host.memxLogs() {
      try? Files.write(said, to: directory.appending("memx.log"))
    }
    if let state = try? await host.state() {
      try? Files.write(state, to: directory.appending("dom0.log"))
    }
    await host.kill()
    return ["console.log", "guests.log", "dom0.log"].flatMap { name in
      let log = (try? Files.readText(directory.appending(name))) ?? ""
      return KernelLog.trouble(in: log, tolerated: tolerated).prefix(10)
        .map { "\(host.machine.name) \(name): \($0)" }
    }
  }
}
