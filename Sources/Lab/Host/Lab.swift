// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Makes and keeps what scenarios run on.
public struct Lab: Sendable {
  public let cache: Cache
  public let progress: Progress

  public init(cache: Cache = Cache(), progress: Progress = Progress()) {
    self.cache = cache
    self.progress = progress
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
  /// - Parameter withModule: whether the guests get the modules of this repository.
  /// - Throws: ``LabError`` when something cannot be fetched or built.
  public func parts(for series: KernelSeries, withModule: Bool = true) async throws -> Parts {
    let kernel = try await kernel(series)
    var modules: [FilePath] = []
    for source in withModule ? ModuleSource.allCases : [] {
      modules.append(
        try await ModuleBuild(source, cache: cache, progress: progress).module(for: kernel))
    }
    return Parts(
      kernel: kernel,
      accelerator: try await Accelerator.usable(cache: cache, kernel: kernel, progress: progress),
      ramdisk: try await Ramdisk(cache: cache, progress: progress)
        .archive(for: kernel, modules: modules),
      programs: try await Programs(cache: cache, progress: progress).image())
  }
}
