// SPDX-License-Identifier: Apache-2.0
import Lab
import SystemPackage
import Testing

/// DKMS takes the module's sources as they are in the tree, and builds and installs what a kernel loads.
@Suite("DKMS", .serialized)
struct DKMSTests {
  @Test("adds, builds, installs and removes memx.ko", arguments: KernelSeries.allCases)
  func wholeLife(series: KernelSeries) async throws {
    let kernel = try await LabTests.lab.kernel(series)
    let root = FilePath(try await Command.run(["mktemp", "-d", "-t", "memx-dkms.XXXXXX"]))
    do {
      try await install(kernel, below: root)
    } catch {
      try await Command.run(["rm", "-rf", root.string])
      throw error
    }
    try await Command.run(["rm", "-rf", root.string])
  }

  private func install(_ kernel: Kernel, below root: FilePath) async throws {
    // All of its trees, so that nothing of the machine changes.
    let trees = [("dkmstree", "state"), ("sourcetree", "src"), ("installtree", "modules")].flatMap {
      ["--\($0.0)", root.appending($0.1).string]
    }
    @Sendable func dkms(_ words: String...) async throws -> String {
      try await Command.run(["dkms"] + words + trees, timeout: .seconds(180))
    }
    for name in ["state", "src", "modules/\(kernel.release)"] {
      try await Command.run(["mkdir", "-p", root.appending(name).string])
    }
    _ = try await dkms("add", ModuleSource.memx.directory.string)
    let added = try await dkms("status")
    let module = try #require(added.wholeMatch(of: /(memx\/[0-9.]+): added/)?.1, "\(added)")

    _ = try await dkms(
      "install", String(module), "-k", kernel.release, "--arch", "x86_64", "--no-depmod",
      "--kernelsourcedir", kernel.headers.string)
    let installed = root.appending("modules/\(kernel.release)/updates/dkms/memx.ko").string
    let magic = try await Command.run(["modinfo", "-F", "vermagic", installed])
    #expect(magic.hasPrefix("\(kernel.release) "))
    #expect(try await dkms("status") == "\(module), \(kernel.release), x86_64: installed")

    _ = try await dkms("remove", String(module), "--all", "--no-depmod")
    #expect(try await !Command.outcome(["test", "-e", installed]).succeeded)
    #expect(try await dkms("status") == "")
  }
}
