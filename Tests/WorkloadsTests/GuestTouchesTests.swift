// SPDX-License-Identifier: Apache-2.0
import Foundation
import Subprocess
import SystemPackage
import Testing

@testable import Workloads

/// The program of the guest that QEMU moves (`tools/guest/touches.c`) against the one that memx moves: a comparison of the
/// two wants the same uses of the same pages.
@Suite struct GuestTouches {
  private static let pages = 8 << 8

  @Test func ordersAreThoseOfTheMovablePrograms() async throws {
    let directory = "/tmp/memx-touches-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let source =
      "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
      + "/tools/guest/touches.c"
    let program = "\(directory)/touches"
    let built = try await Subprocess.run(
      .name("gcc"), arguments: ["-O2", "-o", program, source], output: .discarded,
      error: .string(limit: 65536))
    try #require(built.terminationStatus.isSuccess, "\(built.standardError)")

    let parameters = MovableParameters(pages: Self.pages, seed: 1)
    let orders: [(String, any PageOrder)] = [
      ("sequential", SequentialOrder(parameters, writes: false)),
      ("stride", StrideOrder(parameters)),
      ("random", RandomOrder(parameters)),
      ("hotcold", HotColdOrder(parameters)),
    ]
    for (name, order) in orders {
      let listed = try await Subprocess.run(
        .path(FilePath(program)), arguments: [name, "8", "list"],
        output: .string(limit: 1 << 20))
      #expect(listed.terminationStatus.isSuccess)
      let lines = listed.standardOutput.split(separator: "\n").map(String.init)
      let expected = (0..<Self.pages).map { index in
        let use = order.use(index)
        return "\(use.page) \(use.writes ? 1 : 0)"
      }
      #expect(lines == expected, "\(name)")
    }
  }
}
