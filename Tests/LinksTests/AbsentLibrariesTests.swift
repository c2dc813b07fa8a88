// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// The package on a machine without the headers of RDMA's libraries.
@Suite struct AbsentLibrariesTests {
  /// Swift links against all that CVerbs.h declares, whether or not it is ever called.
  @Test func whatIsDeclaredIsDefined() throws {
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let sources = root + "/Sources/CVerbs"
    let directory = try TemporaryDirectory()
    try run(
      "sh", "-c",
      """
      cd '\(directory.path)' &&
        cc -c -std=gnu11 -Wall -Wextra -Werror -DMEMX_WITHOUT_VERBS -I'\(sources)/include' \
          '\(sources)'/*.c &&
        nm --defined-only -g *.o > symbols
      """)
    let symbols = try String(contentsOfFile: directory.path + "/symbols", encoding: .utf8)
    let defined = Set(symbols.matches(of: /memx_verbs_\w+/).map { String($0.output) })
    let header = try String(contentsOfFile: sources + "/include/CVerbs.h", encoding: .utf8)
    let declared = Set(header.matches(of: /(memx_verbs_\w+)\(/).map { String($0.output.1) })
    #expect(declared.count > 30)
    #expect(declared.subtracting(defined) == [])
    #expect(defined.subtracting(declared) == [])
  }
}
