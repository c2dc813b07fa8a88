// SPDX-License-Identifier: Apache-2.0
import Daemon
import Foundation
import TestSupport
import Testing

/// What is installed beside the daemon says what the daemon does.
@Suite struct InstalledFilesTests {
  private let tools = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("tools")

  private func text(_ path: String) throws -> String {
    try String(contentsOf: tools.appendingPathComponent(path), encoding: .utf8)
  }

  @Test func theExampleConfigurationIsValid() throws {
    let path = tools.appendingPathComponent("systemd/memxd.json5").path
    let result = try output(MemxdProcess.path(), ["--config", path, "--check"])
    #expect(result.status == 0, "\(result.text)")
    let example = try text("systemd/memxd.json5")
    for key in ConfigurationFile.keys + ConfigurationFile.regionKeys where key != "token" {
      #expect(example.contains(" \(key): "), "the example leaves out \(key)")
    }
  }

  @Test func theManualHasEveryOptionAndKey() throws {
    let manual = try text("man/memxd.8")
    let options = Set(Memxd.helpMessage(columns: 300).matches(of: /--([a-z][a-z-]+)/).map(\.1))
    #expect(options.count >= 16)
    for option in options {
      #expect(
        manual.contains(".It Fl -\(option)") || manual.contains(", Fl -\(option)"), "--\(option)")
    }
    for key in ConfigurationFile.keys + ConfigurationFile.regionKeys {
      #expect(manual.contains(".Cm \(key)\n") || manual.contains(".Cm \(key) ,\n"), "\(key)")
    }
  }

  @Test(arguments: [("bash", "memxd.bash"), ("zsh", "_memxd"), ("fish", "memxd.fish")])
  func completionsAreUpToDate(shell: String, file: String) throws {
    let result = try output(MemxdProcess.path(), ["--generate-completion-script", shell])
    #expect(result.status == 0)
    let installed = try text("completions/\(file)")
    #expect(
      installed == result.text,
      "run: memxd --generate-completion-script \(shell) > tools/completions/\(file)")
  }

  @Test func theUnitNamesWhatTheDaemonNeeds() throws {
    let unit = try text("systemd/memxd.service")
    for line in [
      "Type=notify", "WatchdogSec=20s", "RestartPreventExitStatus=64 78", "ProtectSystem=strict",
      "MemoryDenyWriteExecute=yes", "NoNewPrivileges=yes",
      "RestrictAddressFamilies=AF_PACKET AF_INET AF_INET6 AF_UNIX",
      "CapabilityBoundingSet=CAP_NET_RAW CAP_NET_ADMIN CAP_IPC_LOCK",
    ] {
      #expect(unit.contains("\n\(line)\n"), "\(line)")
    }
  }
}
