// SPDX-License-Identifier: Apache-2.0

/// Text in columns, two blanks apart, as `lsblk` and `swapon --show` print it.
public struct Columns: Sendable {
  /// Which side of a column its entries stand on.
  public enum Side: Sendable { case left, right }

  private let sides: [Side]
  private var rows: [[String]]

  /// A table whose first line is the titles.
  public init(_ columns: [(title: String, side: Side)]) {
    sides = columns.map(\.side)
    rows = [columns.map(\.title)]
  }

  /// Adds a row; it has an entry for each column.
  public mutating func add(_ row: [String]) {
    precondition(row.count == sides.count, "a row has as many entries as there are columns")
    rows.append(row)
  }

  /// The lines, each column as wide as its widest entry, without blanks at line ends.
  public var lines: [String] {
    let widths = sides.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, entry) in row.enumerated() {
        if column > 0 { line += "  " }
        let blanks = String(repeating: " ", count: widths[column] - entry.count)
        line += sides[column] == .left ? entry + blanks : blanks + entry
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }
}
