// SPDX-License-Identifier: Apache-2.0

/// The first program of a guest.
enum Init {
  /// Mounts, loads what the guest needs to be talked to, and hands over to the agent.
  ///
  /// All of this stays in memory that cannot be swapped: the root is a ramfs, and the agent's
  /// control group has no swap. A scenario which loses swapped pages then loses its workload
  /// only, never the means to report it. Workloads join the group `work`.
  static let script = """
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
    for module in virtio_pci virtio_console virtio_net e1000 virtio_blk crc32c_generic ext4; do
      modprobe -q $module
    done
    echo +memory > /sys/fs/cgroup/cgroup.subtree_control
    mkdir /sys/fs/cgroup/agent /sys/fs/cgroup/work
    echo 0 > /sys/fs/cgroup/agent/memory.swap.max
    echo 1 > /sys/fs/cgroup/agent/cgroup.procs
    echo -1000 > /proc/self/oom_score_adj
    ip link set lo up
    until [ -b /dev/vda ]; do usleep 10000; done
    mount -o ro /dev/vda /programs
    until port=$(grep -lx lab /sys/class/virtio-ports/*/name 2>/dev/null); do usleep 10000; done
    port=/dev/$(basename $(dirname $port))
    until [ -c $port ]; do usleep 10000; done
    exec 3<>$port
    memx-agent
    poweroff -f

    """
}
