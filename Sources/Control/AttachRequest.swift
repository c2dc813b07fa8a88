// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc

/// What to attach, and the line that asks the kernel for it.
public struct AttachRequest: Sendable, Equatable {
  /// The network interface, or `rdma:` and where the server is.
  public var link: String
  /// Over RDMA, from where the connection leads.
  public var path = RDMAPath()
  /// The region's name; nil for a pseudo-paging device, whose pages stay in this machine until it migrates.
  public var region: String?
  /// The server's address; nil finds the server by broadcast.
  public var server: String?
  /// The region's token, if it has one.
  public var token: String?
  /// How much of the region to take, in bytes; nil takes all.
  public var sizeBytes: UInt64?
  /// After how many seconds without an answer requests fail.
  public var timeoutS: Int?
  /// How many requests may be in flight.
  public var queueDepth: Int?
  /// The largest frame's payload in bytes.
  public var mtu: Int?

  /// A request for all of `region` over `link`; without a region, for a pseudo-paging device.
  public init(link: String, region: String?) {
    self.link = link
    self.region = region
  }

  /// The line for `/sys/class/memx/attach`.
  public var line: String {
    var words = [region.map { "region=\($0)" } ?? "mode=pseudo", "link=\(link)"]
    words += path.words
    if let server { words.append("server=\(server)") }
    if let token { words.append("token=\(token)") }
    if let sizeBytes { words.append("size=\(sizeBytes)") }
    if let queueDepth { words.append("queue_depth=\(queueDepth)") }
    if let mtu { words.append("mtu=\(mtu)") }
    if let timeoutS { words.append("timeout_s=\(timeoutS)") }
    return words.joined(separator: " ") + "\n"
  }

  /// Attaches, and returns the device's name.
  ///
  /// - Throws: ``Failure`` with what the kernel or the server said, in words.
  public func attach(_ files: KernelFiles) throws(Failure) -> DeviceName {
    guard files.isModuleLoaded else { throw KernelFiles.moduleMissing(.failed) }
    guard access(files.attachPath, W_OK) == 0 else {
      throw Failure(.failed, "attaching a device needs root; try: sudo memxctl attach …")
    }
    do {
      try writeSmallFile(files.attachPath, line)
    } catch {
      throw failure(error)
    }
    guard
      let device = files.devices().first(where: {
        files.attribute("region", of: $0) == region ?? "" && files.attribute("link", of: $0) == link
      })
    else {
      throw Failure(.failed, "the kernel attached \(what) but shows no device for it; see dmesg")
    }
    return device
  }

  private var what: String { region.map { "region \($0)" } ?? "a pseudo-paging device" }

  /// What `error`, as the write to sysfs gave it, means to who asked.
  func failure(_ error: SystemError) -> Failure {
    let place = server.map { "the memory server at \($0)" } ?? "the memory server on \(link)"
    if link.hasPrefix(Word.rdmaPrefix), let said = rdmaFailure(error) { return said }
    let (exit, message): (Exit, String) =
      switch error.code {
      case ENODEV: (.notThere, "there is no network interface \(link); `ip link` lists them")
      case ENETDOWN: (.failed, "\(link) is down; bring it up with: ip link set \(link) up")
      case ETIMEDOUT:
        (
          .timedOut,
          "\(server ?? "no memory server") \(server == nil ? "answered" : "did not answer") on "
            + "\(link); check that memxd runs with --link on the same Ethernet segment, and that "
            + "nothing between filters EtherType 0x88b5"
            + (server == nil
              ? "; a server that refuses does not answer a broadcast: name it with --server to hear why"
              : "")
        )
      case ENOENT:
        (.refused, "\(place) has no \(what); it offers what its --region options name")
      case EACCES:
        (
          .refused,
          "\(place) denied \(what): the token or this machine's address does not match"
            + (token == nil ? "; give the token with --token-file" : "")
        )
      case EBUSY:
        (.refused, "another client is attached to \(what); detach it there first")
      case EFBIG:
        (
          .refused,
          "\(what) is smaller than \(sizeBytes.map { "\($0) bytes" } ?? "asked for"); "
            + "leave --size out to take all it has"
        )
      case EUSERS:
        (.refused, "\(place) serves as many clients as it may (memxd --max-sessions)")
      case EPROTONOSUPPORT:
        (
          .refused,
          "\(place) speaks another version of RMAP; install the same version of memx on both sides"
        )
      case EEXIST:
        (.failed, "\(what) is attached over \(link) already; see memxctl status")
      case EINVAL:
        (
          .failed,
          "the kernel module does not take these values; dmesg says which, and what is allowed"
        )
      case EPERM: (.failed, "attaching a device needs root; try: sudo memxctl attach …")
      case EINTR: (.failed, "interrupted before the memory server answered; nothing is attached")
      case ENOMEM:
        (
          .failed,
          "the kernel has not enough memory for the device's buffers; try a smaller --queue-depth"
        )
      default: (.failed, "cannot attach \(what) over \(link): \(error)")
      }
    return Failure(exit, message, errno: error.name)
  }

  /// What errors mean that are not the same over RDMA.
  private func rdmaFailure(_ error: SystemError) -> Failure? {
    let answer: (Exit, String)
    switch error.code {
    case ENODEV:
      answer = (
        .notThere,
        "no RDMA device leads to \(link)"
          + (path.device.map { ", or there is no \($0)" } ?? "")
          + ", or the module memx_rdma is missing; `rdma link` lists devices, dmesg says which it is"
      )
    case EADDRNOTAVAIL:
      answer = (
        .notThere,
        "\(path.device ?? "the RDMA device") has no GID like that which stands for an address of the "
          + "server's kind; `rdma link` and `show_gids` list them"
      )
    case ECONNREFUSED:
      answer = (
        .refused,
        "nothing listens at \(link); check that memxd runs with --link rdma: and this address and port"
      )
    case EHOSTUNREACH, ENETUNREACH, ETIMEDOUT:
      answer = (
        .timedOut,
        "\(link) does not answer; check that ping reaches it, and that both ends have an RDMA device "
          + "there (`rdma link`)"
      )
    case EOPNOTSUPP:
      answer = (
        .failed, "the RDMA device takes fewer requests at a time; try a smaller --queue-depth"
      )
    default: return nil
    }
    return Failure(answer.0, answer.1, errno: error.name)
  }
}
