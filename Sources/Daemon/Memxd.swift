// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import MemoryServer

/// The command `memxd`.
package struct Memxd: AsyncParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "memxd",
    abstract: "Serves this machine's memory to others over raw Ethernet.",
    discussion: """
      SIZE is a number of bytes, or one with K, M, G or T for powers of 1,024.

      Example: memxd --link eth1 --region vm1:4G,token_file=/etc/memx/vm1 --memory 4G
      """)

  @OptionGroup(title: "What to serve") var serving: ServingOptions
  @OptionGroup(title: "Memory") var memory: MemoryOptionGroup
  @OptionGroup(title: "Limits and tuning") var limits: LimitOptions
  @OptionGroup(title: "Operation") var operation: OperationOptions

  package init() {}

  package func run() async throws {
    let settings: Settings
    do {
      settings = try Settings(options: self)
      try settings.server.validate()
    } catch let error as ConfigurationError {
      complain("\(error)")
      throw operation.config == nil ? ExitCode.validationFailure : ExitCode(EX_CONFIG)
    }
    if operation.check {
      print("memxd: the configuration is valid: \(settings.summary)")
      return
    }
    do {
      try await Daemon(settings).run()
    } catch {
      complain("\(error)")
      throw ExitCode.failure
    }
  }

  private func complain(_ message: String) {
    FileHandle.standardError.write(Data("memxd: \(message)\n".utf8))
  }
}
