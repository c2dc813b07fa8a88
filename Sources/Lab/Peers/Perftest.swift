// SPDX-License-Identifier: Apache-2.0

/// What perftest's programs print: the floor that memx over RDMA is measured against.
enum Perftest {
  /// The figures of a run: the last line that begins with the message's size.
  ///
  /// - Parameters:
  ///   - output: of `ib_read_lat` or `ib_read_bw`.
  ///   - bytes: the message's size.
  /// - Returns: the columns behind the size.
  /// - Throws: ``LabError`` when there is no such line.
  static func figures(_ output: String, bytes: Int) throws -> [Double] {
    let lines = output.split(separator: "\n").map { $0.split(separator: " ") }
    guard let line = lines.last(where: { $0.first == "\(bytes)" }), line.count > 4 else {
      throw LabError("perftest said: \(output)")
    }
    return line.dropFirst().compactMap { Double($0) }
  }

  /// The median of `ib_read_lat`, a full round trip as it is of a read, in microseconds.
  static func typicalLatency_us(_ output: String, bytes: Int) throws -> Double {
    // #iterations t_min t_max t_typical …
    let figures = try figures(output, bytes: bytes)
    return figures[3]
  }

  /// The average of `ib_read_bw --report_gbits`, as pages a second.
  static func pages_s(_ output: String, bytes: Int) throws -> Double {
    // #iterations BW peak[Gb/sec] BW average[Gb/sec] MsgRate[Mpps]
    let figures = try figures(output, bytes: bytes)
    return figures[2] * 1e9 / 8 / Double(bytes)
  }
}
