// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The ramdisk a machine boots from: busybox, kernel modules, ours among them, init.
struct Ramdisk: Sendable {
  let role: Role
  let cache: Cache
  let progress: Progress

  /// A compressed cpio archive for a kernel.
  ///
  /// - Parameter modules: those of this repository, built for the kernel.
  /// - Throws: ``LabError`` when a part is missing.
  func archive(for kernel: Kernel, modules: [FilePath]) async throws -> FilePath {
    let busybox = FilePath("/bin/busybox")
    guard Files.exists(busybox) else {
      throw LabError("busybox is not installed", remedy: "run tools/setup")
    }
    var fingerprint = Fingerprint()
    fingerprint.add(Init.script(for: role))
    fingerprint.add(Agent.script)
    fingerprint.add(role.modules.joined(separator: " "))
    for module in modules { fingerprint.add(try Files.read(module)) }
    let key = fingerprint.text
    let place = "ramdisks/\(kernel.release)/\(role.rawValue)"
    let entry = try await cache.entry("\(place)/\(key)") { directory in
      progress.note("ramdisk of a \(role.rawValue) for \(kernel.release): making")
      let tree = directory.appending("tree")
      for name in ["bin", "dev", "etc", "proc", "sys", "run", "tmp", "programs", "root"] {
        try Files.makeDirectory(tree.appending(name))
      }
      try await Command.run(["cp", "-L", busybox.string, tree.appending("bin/busybox").string])
      try Files.write(Init.script(for: role), to: tree.appending("init"), executable: true)
      try Files.write(Agent.script, to: tree.appending("bin/memx-agent"), executable: true)
      for (link, target) in [
        ("lib64", "programs/lib64"), ("usr", "programs/usr"),
        ("etc/libibverbs.d", "../programs/etc/libibverbs.d"),
      ] {
        try await Command.run(["ln", "-s", target, tree.appending(link).string])
      }
      try await addModules(of: kernel, and: modules, to: tree)
      let archive = directory.appending("ramdisk.gz")
      try await Command.run(
        [
          "sh", "-ec", "find . | cpio --quiet -o -H newc -R 0:0 | gzip -1 > \"$1\"", "sh",
          archive.string,
        ], in: tree)
      try await Command.run(["rm", "-rf", tree.string])
    }
    try await cache.prune(place, keeping: [key])
    return entry.appending("ramdisk.gz")
  }

  private func addModules(
    of kernel: Kernel, and modules: [FilePath], to tree: FilePath
  ) async throws {
    let target = tree.appending("lib/modules/\(kernel.release)")
    try Files.makeDirectory(target)
    // ld.so's own directory must be a directory of the ramdisk, since modules live beside it.
    try await Command.run(
      [
        "ln", "-s", "../programs/lib/x86_64-linux-gnu",
        tree.appending("lib/x86_64-linux-gnu").string,
      ])
    for name in ["modules.builtin", "modules.order"] {
      try await Command.run(["cp", kernel.modules.appending(name).string, target.string])
    }
    for file in try await dependencies(of: role.modules, in: kernel) {
      let name = FilePath(file).lastComponent?.string ?? ""
      try await Command.run(["cp", file, target.string])
      if name.hasSuffix(".xz") {
        try await Command.run(["xz", "-d", target.appending(name).string])
      }
    }
    // The ramdisk stays in memory that cannot be swapped; what debuggers want is most of a module.
    for module in modules {
      let name = module.lastComponent?.string ?? ""
      try await Command.run([
        "strip", "--strip-debug", "-o", target.appending(name).string, module.string,
      ])
    }
    try await Command.run(["/sbin/depmod", "-b", tree.string, kernel.release])
  }

  /// The files of the modules and of all they need.
  private func dependencies(of modules: [String], in kernel: Kernel) async throws -> [String] {
    if !Files.exists(kernel.modules.appending("modules.dep")) {
      try await Command.run(["/sbin/depmod", "-b", kernel.root.string, kernel.release])
    }
    var files: Set<String> = []
    for module in modules {
      let listing = try await Command.run([
        "/sbin/modprobe", "-d", kernel.root.string, "-S", kernel.release, "--show-depends", module,
      ])
      for line in listing.split(separator: "\n") {
        let words = line.split(separator: " ")
        if words.first == "insmod", words.count > 1 { files.insert(String(words[1])) }
      }
    }
    return files.sorted()
  }
}
