// SPDX-License-Identifier: Apache-2.0

/// The first program of a machine.
///
/// All of this stays in memory that cannot be swapped: the root is a ramfs, and the agent's
/// control group has no swap. A scenario which loses swapped pages then loses its workload
/// only, never the means to report it. Workloads join the group `work`.
///
/// What a process has before it joins a group stays charged where it was, which can be swapped;
/// so the last step begins a program anew.
enum Init {
  /// Mounts, loads what the machine needs to be talked to, and hands over to the agent.
  static func script(for role: Role) -> String {
    switch role {
    case .guest, .rdma: head(load: virtio) + groups + programs(on: "vda") + port
    case .dom0: head(load: virtio + Dom0.modules) + groups + programs(on: "vda") + Dom0.start + port
    case .xenGuest:
      head(load: XenGuest.modules) + groups + programs(on: "xvda") + XenGuest.start
    }
  }

  /// What is loaded to reach QEMU's devices.
  private static let virtio = [
    "virtio_pci", "virtio_console", "virtio_net", "e1000", "virtio_blk", "crc32c_generic", "ext4",
  ]

  private static func head(load modules: [String]) -> String {
    """
    #!/bin/busybox sh
    /bin/busybox --install -s /bin
    export PATH=/bin:/programs/bin HOME=/root
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs dev /dev
    mount -t ramfs run /run
    mount -t tmpfs -o size=0 tmp /tmp
    mount -t debugfs debugfs /sys/kernel/debug
    mount -t cgroup2 cgroup /sys/fs/cgroup
    echo 60 > /proc/sys/kernel/hung_task_timeout_secs
    echo 1 > /proc/sys/kernel/panic_on_oops
    for module in \(modules.joined(separator: " ")); do
      modprobe -q $module
    done

    """
  }

  private static let groups = """
    echo +memory > /sys/fs/cgroup/cgroup.subtree_control
    mkdir /sys/fs/cgroup/agent /sys/fs/cgroup/work
    echo 0 > /sys/fs/cgroup/agent/memory.swap.max
    echo 1 > /sys/fs/cgroup/agent/cgroup.procs
    echo -1000 > /proc/self/oom_score_adj
    ip link set lo up

    """

  private static func programs(on disk: String) -> String {
    """
    until [ -b /dev/\(disk) ]; do usleep 10000; done
    mount -o ro /dev/\(disk) /programs

    """
  }

  /// The agent on the virtual serial port.
  private static let port = """
    until port=$(grep -lx lab /sys/class/virtio-ports/*/name 2>/dev/null); do usleep 10000; done
    port=/dev/$(basename $(dirname $port))
    until [ -c $port ]; do usleep 10000; done
    exec 3<>$port
    exec sh -c 'memx-agent; poweroff -f'

    """
}
