// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A paravirtual guest of a Xen host, wherever it is at the time.
///
/// Its agent is reached over TCP from the namespace: the guest keeps its address when it moves, and the
/// connection lives on.
public final class XenGuest: Shell {
  /// What a guest is made of.
  public struct Configuration: Sendable {
    /// Tells guests apart: 1, 2, ….
    public var number = 1
    /// Memory, in MiB.
    public var memory_mib = 192
    /// Virtual processors.
    public var processors = 1
    /// Words added to the kernel's command line.
    public var kernelWords: [String] = []

    /// The word that has it get an RDMA device, for which `pseudoPaging(link:)` can be `rdma:`.
    static let rdma = "lab_rdma=yes"

    public init(memory_mib: Int = 192, processors: Int = 1) {
      self.memory_mib = memory_mib
      self.processors = processors
    }

    /// The domain's name, the same on every host.
    public var name: String { "d\(number)" }
    /// Its address in the lab's network.
    public var address: String { XenNetwork.address(guest: number) }

    /// What `xl create` takes.
    var text: String {
      let words =
        [
          "console=hvc0", "loglevel=7", "rootfstype=ramfs", "lab_address=\(address)",
          // Pages that are granted to dom0 once and for all: 4 MiB that cannot be paged out.
          "xen_blkfront.feature_persistent=0",
        ] + kernelWords
      return """
        name = "\(name)"
        type = "pv"
        kernel = "/guests/vmlinux"
        ramdisk = "/guests/ramdisk.gz"
        extra = "\(words.joined(separator: " "))"
        memory = \(memory_mib)
        vcpus = \(processors)
        on_poweroff = "destroy"
        on_reboot = "destroy"
        on_crash = "preserve"
        vif = ['mac=00:16:3e:6d:78:0\(number),bridge=\(Dom0.bridge)']
        disk = ['phy:/dev/vdc,xvda,r']
        """
    }
  }

  public let configuration: Configuration
  public let agent: AgentLine

  private init(configuration: Configuration, agent: AgentLine) {
    self.configuration = configuration
    self.agent = agent
  }

  private static let port = 7

  /// The kernel's modules it needs as a guest.
  static let modules = ["xen-netfront", "xen-blkfront", "crc32c_generic", "ext4"]

  /// The part of init that sets the network up and lets the agent be reached over it, by one connection
  /// or more.
  ///
  /// What cannot be paged out moves while the guest stands still, and that is what a ramdisk is made of. So
  /// what is needed no more is removed, and busybox goes on from the disk. Of a guest this small, what the kernel adds to its
  /// watermarks when memory is in pieces is a tenth, and it would rather kill a program than use that (docs/POSTCOPY.md).
  static let start = """
    until [ -e /sys/class/net/eth0 ]; do usleep 10000; done
    ip link set eth0 mtu 9000 up
    ip addr add $lab_address/24 dev eth0
    if [ -n "$lab_rdma" ]; then
      for module in \(RDMAParts.modules.joined(separator: " ")); do modprobe -q $module; done
      /programs/bin/rdma link add rxe0 type rxe netdev eth0
    else
      find /lib/modules -name 'memx_rdma.ko' | xargs rm
    fi
    echo 0 > /proc/sys/vm/watermark_boost_factor
    find /lib/modules -name modules.order -o -name '*.ko' ! -name 'memx*' | xargs rm
    ln -sf /programs/bin/busybox /bin/busybox
    exec /programs/bin/busybox sh -c "nc -ll -p \(port) -e sh -c 'exec memx-agent 3<&0'; poweroff -f"

    """

  /// Creates a guest on a host and waits until it takes commands.
  ///
  /// - Throws: ``LabError`` with the end of its console when it does not get there in time.
  static func create(
    _ configuration: Configuration, on host: XenHost, in namespace: Namespace, directory: FilePath
  ) async throws -> XenGuest {
    let name = configuration.name
    try await host.run(
      """
      cat > /run/\(name).cfg << 'END'
      \(configuration.text)
      END
      xl create /run/\(name).cfg
      """)
    do {
      return XenGuest(
        configuration: configuration,
        agent: try await connect(configuration, in: namespace, directory: directory))
    } catch {
      let console = (try? await host.console(of: name)) ?? ""
      throw LabError("\(error); its console ended with:\n" + KernelLog.end(of: console))
    }
  }

  /// Connects to the agent as soon as it can be.
  private static func connect(
    _ configuration: Configuration, in namespace: Namespace, directory: FilePath
  ) async throws -> AgentLine {
    let address = "\(configuration.address) \(port)"
    return try await AgentLine.start(
      "guest \(configuration.name)",
      namespace.command([
        "sh", "-c",
        "until busybox nc -w 1 \(address) < /dev/null | grep -q MEMX; do sleep 0.2; done;"
          + " exec busybox nc \(address)",
      ]), log: directory.appending("agent.log"), patience: XenMachine.patience,
      timeout: .seconds(180))
  }

  /// Powers the guest off, and waits until nothing is left of it on the host where it is.
  func powerOff(on host: XenHost) async throws {
    try await run("(sleep 1; poweroff -f) > /dev/null 2>&1 &")
    try await host.until(
      "! xl domid \(configuration.name) > /dev/null 2>&1")
    await agent.kill()
  }
}
