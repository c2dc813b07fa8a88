// SPDX-License-Identifier: Apache-2.0

/// The first domain of a Xen host: what it loads, starts and is asked by libxl.
enum Dom0 {
  /// The kernel's modules it needs as a host.
  static let modules = [
    "xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs", "xen-netback",
    "xen-blkback", "bridge",
  ]

  /// Where the tools keep the consoles of guests.
  static let consoles = "/run/log"

  /// The part of init that starts Xen's tools and the bridge of the network card and the guests.
  static let start = """
    export PATH=$PATH:/\(Xen.tools):/usr/bin
    mkdir -p \(consoles) /run/xen /run/xenstored /run/lock /var/lib/xen /var/lib/xenstored /var/log/xen
    ln -s /run /var/run
    ln -s /run/lock /var/lock
    mount -t xenfs xenfs /proc/xen
    mkdir -p /dev/pts
    mount -t devpts devpts /dev/pts
    ln -s /programs/etc/xen /etc/xen
    mkdir /guests
    mount -o ro /dev/vdb /guests
    xenstored
    until xenstore-read / > /dev/null 2>&1; do usleep 50000; done
    xen-init-dom0
    xenconsoled --log=guest --log-dir=\(consoles)
    until [ -e /sys/class/net/eth0 ]; do usleep 10000; done
    brctl addbr \(bridge)
    brctl addif \(bridge) eth0
    ip link set \(bridge) address $(cat /sys/class/net/eth0/address)
    for link in eth0 \(bridge); do ip link set $link mtu 9000 up; done
    ip addr add $lab_address/24 dev \(bridge)

    """

  /// The bridge of the network card and the guests.
  static let bridge = "br0"

  /// The tools' configuration: dom0 keeps the memory it has.
  static let configuration = "autoballoon=\"off\"\n"

  /// What libxl runs for a guest's network card: the distribution's own scripts need bash, udev
  /// and more of a system than there is.
  static let vifScript = """
    #!/bin/busybox sh
    set -e
    export PATH=/bin:/\(Xen.tools):/usr/bin
    if [ "$1" = online ]; then
      brctl addif $(xenstore-read $XENBUS_PATH/bridge) $vif
      ip link set $vif mtu 9000 up
      xenstore-write $XENBUS_PATH/hotplug-status connected
    fi

    """

  /// What libxl runs for a guest's disk, which is one of dom0's.
  static let blockScript = """
    #!/bin/busybox sh
    set -e
    export PATH=/bin:/\(Xen.tools):/usr/bin
    if [ "$1" = add ]; then
      disk=$(xenstore-read $XENBUS_PATH/params)
      xenstore-write $XENBUS_PATH/physical-device $(stat -c %t:%T $disk)
    fi

    """
}
