// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Makes and keeps what scenarios run on.
public struct Lab: Sendable {
  public let cache: Cache
  public let progress: Progress
  /// When nothing more is to begin; nil when all is to be run, however long it takes.
  public let until: ContinuousClock.Instant?

  public init(
    cache: Cache = Cache(), progress: Progress = Progress(), until: ContinuousClock.Instant? = nil
  ) {
    self.cache = cache
    self.progress = progress
    self.until = until
  }

  /// What a guest boots from.
  public struct Parts: Sendable {
    public let kernel: Kernel
    public let accelerator: Accelerator
    let ramdisk: FilePath
    let programs: FilePath
  }

  /// The kernel of a series.
  public func kernel(_ series: KernelSeries, refresh: Bool = false) async throws -> Kernel {
    try await KernelPackages(cache: cache, progress: progress).kernel(series, refresh: refresh)
  }

  /// Makes whatever is missing to boot guests of a series.
  ///
  /// - Parameters:
  ///   - withModule: whether the guests get the modules of this repository.
  ///   - withRDMA: whether they get what RDMA needs.
  /// - Throws: ``LabError`` when something cannot be fetched or built.
  public func parts(
    for series: KernelSeries, withModule: Bool = true, withRDMA: Bool = false
  ) async throws -> Parts {
    let kernel = try await kernel(series)
    let modules = withModule ? try await modules(for: kernel, withRDMA: withRDMA) : []
    return Parts(
      kernel: kernel,
      accelerator: try await Accelerator.usable(cache: cache, kernel: kernel, progress: progress),
      ramdisk: try await ramdisk(of: withRDMA ? .rdma : .guest, for: kernel, modules: modules),
      programs: try await programs(withRDMA ? .rdma : .guest))
  }

  /// The modules of this repository for a kernel.
  func modules(for kernel: Kernel, withRDMA: Bool = false) async throws -> [FilePath] {
    var modules: [FilePath] = []
    for source in ModuleSource.allCases {
      modules +=
        try await ModuleBuild(source, cache: cache, progress: progress)
        .modules(for: kernel, withRDMA: withRDMA)
    }
    return modules
  }

  /// The ramdisk of a machine.
  func ramdisk(of role: Role, for kernel: Kernel, modules: [FilePath]) async throws -> FilePath {
    try await Ramdisk(role: role, cache: cache, progress: progress)
      .archive(for: kernel, modules: modules)
  }

  /// The disk with a machine's programs.
  func programs(_ set: ProgramSet) async throws -> FilePath {
    try await Programs(set: set, cache: cache, progress: progress).image()
  }
}
