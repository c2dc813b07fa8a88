// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Lab

/// What the lab reads and writes for Xen; nothing is booted.
@Suite("Xen's lab")
struct XenLabTests {
  /// An image with a header of the boot protocol and `payload` behind one sector of setup code.
  static func image(payload: [UInt8], version: UInt16 = 0x20f) -> [UInt8] {
    func bytes(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (8 * $0) & 0xff) } }
    var image = [UInt8](repeating: 0, count: 1024 + 64)
    image[0x1f1] = 1
    image.replaceSubrange(0x202..<0x206, with: Array("HdrS".utf8))
    image[0x206] = UInt8(version & 0xff)
    image[0x207] = UInt8(version >> 8)
    image.replaceSubrange(0x248..<0x24c, with: bytes(64))
    // The size of what it unpacks to follows the payload, and counts.
    image.replaceSubrange(0x24c..<0x250, with: bytes(payload.count + 4))
    return image + payload + [0xaa, 0xbb, 0xcc, 0xdd] + [UInt8](repeating: 0xee, count: 100)
  }

  @Test("the payload of a kernel's image is found, without the size behind it")
  func payload() throws {
    let payload: [UInt8] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 1, 2, 3]
    #expect(try UncompressedKernel.payload(of: Self.image(payload: payload)) == payload)
    #expect(try UncompressedKernel.decompressor(of: payload).hasPrefix("xz"))
    #expect(try UncompressedKernel.decompressor(of: [0x28, 0xb5, 0x2f, 0xfd, 0]).hasPrefix("zstd"))
  }

  @Test("what is no image of a kernel is an error that says why")
  func badImages() {
    let good = Self.image(payload: [1, 2, 3])
    var unmarked = good
    unmarked[0x202] = 0
    for image in [[], Array(good.prefix(0x240)), unmarked, Self.image(payload: [], version: 0x207)]
    {
      #expect { try UncompressedKernel.payload(of: image) } throws: {
        "\($0)".contains("header")
      }
    }
    #expect { try UncompressedKernel.payload(of: Array(good.prefix(1024 + 66))) } throws: {
      "\($0)".contains("ends before")
    }
    #expect { try UncompressedKernel.decompressor(of: [0x1f, 0x8b]) } throws: {
      "\($0)".contains("neither by xz nor by zstd")
    }
  }

  @Test("a heartbeat's line is read, and a line that is none is an error that shows it")
  func pulse() throws {
    let line =
      "asked=200 answered=198 wrong=1 repeated=2 beats=248 silence_ms=1505.5 stopped_ms=1495.5"
    let seen = try PulseWatcher.Seen(line)
    #expect(seen.asked == 200 && seen.answered == 198 && seen.wrong == 1 && seen.repeated == 2)
    #expect(seen.beats == 248 && seen.silence_ms == 1505.5 && seen.stopped_ms == 1495.5)
    for bad in ["", "asked=1", line.replacing("248", with: "many")] {
      #expect { try PulseWatcher.Seen(bad) } throws: { "\($0)".contains("‘\(bad)’") }
    }
  }

  static let migrated = """
    {"schema":1,"event":"migrated","domain":"d1","memory_pages":49152,"preparation_ms":9000,"precopy_ms":1200,\
    "downtime_ms":2000,"freeze_ms":300,"save_ms":1500,"resume_ms":7000,"total_ms":18000,\
    "precopied_pages":17000,"residual_bytes":9000000,\
    "slots_used":12000,"slots_frozen":3000,"pages_transferred":11990,"pushed":11000,"fetched":990,\
    "network_faults":980,"minor_faults":2000,"unused":10,"longest_wait_us":51000,\
    "network_fault_pct":32.886}
    """

  @Test("figures of a migration are those that memxctl says")
  func report() throws {
    let output = "memxctl: a warning\n\(Self.migrated)\n"
    let report = try PostCopyReport(Guest.Outcome(code: 0, output: output))
    #expect(report.downtime_ms == 2000 && report.pages_transferred == 11990)
    #expect(report.values.first { $0.name == "network_faults" }?.value == 980)
  }

  @Test("a migration that failed is an error with what memxctl said")
  func failedReport() {
    for outcome in [
      Guest.Outcome(code: 1, output: "memxctl: the target refuses\n"),
      Guest.Outcome(code: 0, output: "memxctl: the target refuses\n"),
      Guest.Outcome(code: 0, output: "{\"downtime_ms\":1} the target refuses"),
    ] {
      #expect { try PostCopyReport(outcome) } throws: { "\($0)".contains("the target refuses") }
    }
  }

  @Test("a guest's configuration is what xl reads")
  func configuration() {
    var configuration = XenGuest.Configuration(memory_mib: 128, processors: 2)
    configuration.number = 3
    let lines = configuration.text.split(separator: "\n").map(String.init)
    for line in [
      #"name = "d3""#, #"type = "pv""#, "memory = 128", "vcpus = 2",
      "vif = ['mac=00:16:3e:6d:78:03,bridge=br0']",
    ] {
      #expect(lines.contains(line), "\(line)")
    }
    #expect(configuration.text.contains("lab_address=10.77.0.103"))
  }
}
