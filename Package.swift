// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

/// What every Swift target of memx is built with.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
]

/// What runs once per page specializes across modules only with this.
let pagePath: [SwiftSetting] =
  strict + [
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))
  ]

let c: [CSetting] = [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(
  name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let http = Target.Dependency.product(name: "FlyingFox", package: "FlyingFox")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let table = Target.Dependency.product(name: "TextTable", package: "TextTable")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")

let package = Package(
  name: "memx",
  products: [
    .executable(name: "memxd", targets: ["memxd"]),
    .executable(name: "memxctl", targets: ["memxctl"]),
    .executable(name: "memx-bench", targets: ["memx-bench"]),
    .executable(name: "memx-lab", targets: ["memx-lab"]),
    .library(name: "RemoteMemory", targets: ["RemoteMemory", "RMAP"]),
    // For C programs; tools/libmemx makes it fit for any compiler.
    .library(name: "memx", type: .static, targets: ["libmemx"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    .package(url: "https://github.com/ordo-one/TextTable", from: "0.0.2"),
    .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
  ],
  targets: [
    // The wire format and the pure C that the module and Swift share.
    .target(
      name: "CRMAP", path: "kmod", sources: ["core"], publicHeadersPath: "include",
      cSettings: c),
    .target(name: "CMemx", cSettings: c),
    // libibverbs and librdmacm, opened when they are first needed.
    .target(name: "CVerbs", cSettings: c),
    // What memx-bench compares itself with.
    .target(
      name: "CFloor", path: "tools/floor", sources: ["userfault.c"], publicHeadersPath: "include",
      cSettings: c),

    // Xen's libraries, loaded at run time.
    .target(name: "CXen", cSettings: c),
    .target(name: "Xen", dependencies: ["CXen"], swiftSettings: strict),

    .target(name: "RMAP", dependencies: ["CRMAP", "CMemx"], swiftSettings: pagePath),
    .target(
      name: "PageStore", dependencies: ["CMemx", "CRMAP", "RMAP", "Xen", system],
      swiftSettings: pagePath),
    .target(
      name: "Links", dependencies: ["CMemx", "CRMAP", "CVerbs", "RMAP", system],
      swiftSettings: pagePath),
    .target(name: "Prepaging", swiftSettings: pagePath),
    .target(name: "Transfers", dependencies: ["RMAP", "Prepaging"], swiftSettings: pagePath),
    .target(
      name: "Simulation", dependencies: ["CRMAP", "RMAP", "Prepaging", "Transfers"],
      swiftSettings: pagePath),
    .target(
      name: "RemoteMemory", dependencies: ["CMemx", "RMAP", "Links", system],
      swiftSettings: pagePath),
    // memx.h, the interface of libmemx.
    .target(name: "CLibMemx", cSettings: c),
    .target(
      name: "libmemx", dependencies: ["CLibMemx", "RemoteMemory", "RMAP"], swiftSettings: strict),
    .target(name: "Telemetry", swiftSettings: pagePath),
    .target(
      name: "MemoryServer",
      dependencies: [
        "RMAP", "PageStore", "Prepaging", "Transfers", "Links", "Telemetry", "Console", logging,
        system,
      ],
      swiftSettings: pagePath),
    .target(
      name: "Daemon",
      dependencies: [
        "MemoryServer", "PageStore", "RMAP", "Links", "Xen", "CMemx", "Telemetry", argumentParser,
        logging, lifecycle, signals, http, system,
      ],
      swiftSettings: strict),
    .target(name: "Console", swiftSettings: strict),
    .target(name: "Processes", dependencies: ["CMemx", "Console"], swiftSettings: strict),
    .target(name: "Control", dependencies: ["CMemx", "Console"], swiftSettings: strict),
    .target(
      name: "Migration",
      dependencies: ["CMemx", "Control", "Console", "PageStore", "Processes", "Xen"],
      swiftSettings: strict),
    .target(
      name: "Workloads", dependencies: ["CMemx", "Console", histogram], swiftSettings: pagePath),
    .target(
      name: "Lab", dependencies: ["Console", subprocess, system, logging], swiftSettings: strict),

    .executableTarget(
      name: "memxd", dependencies: ["Daemon", argumentParser], swiftSettings: strict),
    .executableTarget(
      name: "memxctl", dependencies: ["Control", "Migration", "Xen", "Console", argumentParser],
      swiftSettings: strict),
    .executableTarget(
      name: "memx-bench",
      dependencies: [
        "RMAP", "Links", "RemoteMemory", "Prepaging", "Simulation", "Workloads", "CMemx", "CFloor",
        "Console", "Processes", argumentParser, histogram,
      ],
      swiftSettings: pagePath),
    .executableTarget(
      name: "memx-lab", dependencies: ["Lab", argumentParser, logging, table],
      swiftSettings: strict),

    .target(name: "CTestSupport", path: "Tests/CTestSupport", cSettings: c),
    .target(
      name: "TestSupport",
      dependencies: ["CTestSupport", "CRMAP", "RMAP", "Links", "Telemetry", "Xen"],
      path: "Tests/Support", swiftSettings: strict),
    .testTarget(
      name: "LinksTests", dependencies: ["Links", "RMAP", "CVerbs", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "TelemetryTests", dependencies: ["Telemetry", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "MigrationTests",
      dependencies: ["Migration", "Control", "Console", "Xen", "Links", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "PrepagingTests", dependencies: ["Prepaging", "CTestSupport"], swiftSettings: strict),
    .testTarget(
      name: "PageStoreTests",
      dependencies: ["PageStore", "CRMAP", "RMAP", "TestSupport", system],
      swiftSettings: strict),
    .testTarget(
      name: "MemoryServerTests",
      dependencies: [
        "MemoryServer", "PageStore", "RMAP", "CTestSupport", "TestSupport", "memxd", logging,
      ],
      swiftSettings: strict),
    .testTarget(
      name: "DaemonTests",
      dependencies: [
        "Daemon", "MemoryServer", "RMAP", "Xen", "TestSupport", "memxd", argumentParser, logging,
        lifecycle,
      ],
      swiftSettings: strict),
    .testTarget(
      name: "RemoteMemoryTests",
      dependencies: ["RemoteMemory", "CMemx", "RMAP", "CTestSupport", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "LibMemxTests",
      dependencies: [
        "CLibMemx", "libmemx", "CMemx", "RMAP", "RemoteMemory", "Links", "TestSupport", "memxd",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "RMAPTests", dependencies: ["RMAP", "CRMAP", "CMemx", "Simulation"],
      swiftSettings: strict),
    .testTarget(
      name: "SimulationTests", dependencies: ["Simulation", "RMAP", "Prepaging", "Workloads"],
      swiftSettings: strict),
    .testTarget(
      name: "LabTests", dependencies: ["Lab", "memxd", "memx-bench", "memx-lab", system],
      swiftSettings: strict),
    .testTarget(name: "ConsoleTests", dependencies: ["Console"], swiftSettings: strict),
    .testTarget(
      name: "ControlTests",
      dependencies: ["Control", "Console", "memxctl", argumentParser, subprocess, system],
      swiftSettings: strict),
    .testTarget(
      name: "PostcopyTests",
      dependencies: [
        "RMAP", "RemoteMemory", "Workloads", "Prepaging", "Simulation", "memx-bench", "memxd",
        "TestSupport",
        argumentParser, subprocess, system,
      ],
      swiftSettings: strict),
    .testTarget(
      name: "WorkloadsTests",
      dependencies: [
        "Workloads", "CMemx", "Console", "memx-bench", argumentParser, histogram, subprocess,
        system,
      ],
      swiftSettings: strict),
  ]
)
