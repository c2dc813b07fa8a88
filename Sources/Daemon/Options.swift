// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Logging
import MemoryServer
import RMAP

struct ServingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Ethernet interface to serve on, or rdma:ADDRESS[:PORT] or rdma:DEVICE[:PORT] (default port:"
        + " \(Wire.rdmaPort)); may be given several times.", valueName: "link"))
  var link: [String] = []

  @Option(
    help: ArgumentHelp(
      "A region of memory and who may attach; may be given several times. Keys: quota=SIZE, the most that its"
        + " pages may take (default: its size); token_file=PATH, a file with what a client must show, up to"
        + " 32 bytes; token=TEXT, the same here, where every user sees it in ps; client=ADDRESS, a client"
        + " that may attach, by its Ethernet or over RDMA its IP address, may be given several times (default: any client); strategy=NAME, which page"
        + " goes next in a post-copy whose client does not say (default: \(RegionConfiguration.defaultStrategy));"
        + " push_rate=SIZE, the most that a post-copy pushes in a second (default: no limit);"
        + " layout=linear, all of its memory set aside at the start, so that clients over RDMA reach it"
        + " directly (default: scattered).",
      valueName: "name:size[,key=value]…"),
    transform: { try checked { try RegionConfiguration(parsing: $0) }($0) })
  var region: [RegionConfiguration] = []

  @Flag(
    inversion: .prefixedNo,
    help: ArgumentHelp(
      "In dom0 of a Xen host: serve the memory of guests that memxctl migrate moves away (default: no)."
    ))
  var xen: Bool?
}

struct MemoryOptionGroup: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The most that all regions' pages together may take, in bytes or with K, M, G, T.",
      valueName: "size"),
    transform: { text in try checked { try RegionConfiguration.size($0, of: "memory") }(text) })
  var memory: Int?

  @Option(
    help: ArgumentHelp(
      "Directory that keeps pages over a restart; on tmpfs or hugetlbfs for memory, on a disk for what is"
        + " to survive a reboot (default: none; pages go with the process).",
      valueName: "directory"),
    completion: .directory)
  var arena: String?

  @Option(
    help: ArgumentHelp(
      "Ask for transparent huge pages (default: auto).", valueName: "when"))
  var hugepages: HugePages?

  @Flag(
    inversion: .prefixedNo,
    help: "Take all memory at the start and lock it, so that it is never swapped out (default: no)."
  )
  var lock: Bool?
}

struct LimitOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A session whose client is silent for so long ends, in ms (default: 30000).",
      valueName: "milliseconds"),
    transform: number("session timeout", ServerConfiguration.sessionTimeoutRange_ms))
  var sessionTimeoutMs: Int?

  @Option(
    help: ArgumentHelp(
      "Poll so long for the next frame before sleeping, in us; more is faster and takes more CPU time"
        + " (default: 50).", valueName: "microseconds"),
    transform: number("busy poll", ServerConfiguration.busyPollRange_us))
  var busyPollUs: Int?

  @Option(
    help: ArgumentHelp("Sessions at a time on a link (default: 64).", valueName: "number"),
    transform: number("max sessions", ServerConfiguration.maxSessionsRange))
  var maxSessions: Int?

  @Option(
    help: ArgumentHelp(
      "Frames that a link's receive ring holds; each takes the MTU of locked kernel memory"
        + " (default: 4096).", valueName: "number"),
    transform: number("ring frames", ServerConfiguration.ringFramesRange))
  var ringFrames: Int?
}

struct OperationOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Configuration in JSON5; options override what it says, --link and --region its whole lists.",
      valueName: "file"),
    completion: .file(extensions: ["json5", "json"]))
  var config: String?

  @Flag(help: "Check the configuration, say whether it is valid, and end.")
  var check = false

  @Option(
    help: ArgumentHelp(
      "Serve /status, /metrics and /healthz over HTTP there, or off; loopback only (default: off).",
      valueName: "127.0.0.1:port"),
    transform: { text in try checked { try HTTPAddress(parsing: $0) }(text) })
  var http: HTTPAddress?

  @Option(
    help: ArgumentHelp(
      "Log this level and those above (default: info).", valueName: "level"))
  var logLevel: LogLevel?

  @Option(
    help: ArgumentHelp(
      "Log in lines of text, or one JSON object a line (default: text).",
      valueName: "format"))
  var logFormat: LogFormat?
}

/// Ask for huge pages?
package enum HugePages: String, CaseIterable, ExpressibleByArgument, Sendable {
  case auto
  case never
}

/// How log lines are written.
package enum LogFormat: String, CaseIterable, ExpressibleByArgument, Sendable {
  case text
  case json
}

/// The least level that is logged.
package enum LogLevel: String, CaseIterable, ExpressibleByArgument, Sendable {
  case trace, debug, info, notice, warning, error, critical

  var level: Logger.Level { Logger.Level(rawValue: rawValue)! }
}

/// Has the argument parser show a configuration error behind the option's name.
private func checked<T>(_ read: @escaping (String) throws -> T) -> (String) throws -> T {
  { text in
    do { return try read(text) } catch let error as ConfigurationError {
      throw ValidationError(error.description)
    }
  }
}

private func number(
  _ what: String, _ range: ClosedRange<Int>
) -> @Sendable (String) throws -> Int {
  { text in
    guard let number = Int(text), range.contains(number) else {
      throw ValidationError(
        "\(what): \(range.lowerBound) to \(range.upperBound) are allowed")
    }
    return number
  }
}
