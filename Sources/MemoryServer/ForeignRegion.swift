// SPDX-License-Identifier: Apache-2.0

/// A region of another domain's frames that a ``MemoryServer`` serves until it is withdrawn.
public final class ForeignRegion: Sendable {
  let region: Region

  init(_ region: Region) { self.region = region }

  /// How far its pages have moved.
  public var progress: RegionProgress { region.progress }
}
