// SPDX-License-Identifier: Apache-2.0
import Processes

/// What `xl save` writes, on its way to the target: as it is, or packed.
struct OutgoingGuest: ~Copyable {
  private let guest: Pipe
  private let output: Int32
  private var plain: StreamPump?
  private var packed: (by: ChildProcess, from: Pipe, sender: ChunkSender)?

  /// - Parameters:
  ///   - guest: `xl save` writes to it.
  ///   - output: the connection to the target.
  init(_ guest: Pipe, output: Int32, _ compression: Compression?) throws(RunFailure) {
    self.guest = guest
    self.output = output
    guard let compression else {
      plain = StreamPump(input: guest.readEnd, output: output)
      return
    }
    let pipe = try Pipe()
    let program = try compression.pack(input: guest.readEnd, output: pipe.writeEnd)
    pipe.closeWriteEnd()
    guest.closeReadEnd()
    packed = (program, pipe, ChunkSender(input: pipe.readEnd, output: output))
  }

  /// Bytes that went to the target.
  var bytes: UInt64 { plain?.bytes ?? packed?.sender.bytes ?? 0 }

  mutating func step() -> StreamStep { plain?.step() ?? packed?.sender.step() ?? .end }

  /// Nothing more is carried: who still writes fails.
  ///
  /// - Parameter isWhole: whether the end of what was written has been reached.
  /// - Returns: why the target does not have all of it, when it should; else nil.
  mutating func close(isWhole: Bool) -> String? {
    guest.closeReadEnd()
    guard packed != nil else { return nil }
    packed!.from.closeReadEnd()
    guard isWhole else { return nil }
    guard packed!.by.wait() == 0 else { return "the program that packs the guest has failed" }
    return packed!.sender.finish() ? nil : "the connection to the target broke"
  }
}

/// A guest's stream on its way from the connection to `xl restore`.
struct IncomingGuest: ~Copyable {
  private let guest: Pipe
  private var plain: StreamPump?
  private var packed: (by: ChildProcess, to: Pipe, receiver: ChunkReceiver)?

  /// - Parameter guest: `xl restore` reads from it.
  init(_ guest: Pipe, input: Int32, _ compression: Compression?) throws(RunFailure) {
    self.guest = guest
    guard let compression else {
      plain = StreamPump(input: input, output: guest.writeEnd)
      return
    }
    let pipe = try Pipe()
    let program = try compression.unpack(input: pipe.readEnd, output: guest.writeEnd)
    pipe.closeReadEnd()
    guest.closeWriteEnd()
    packed = (program, pipe, ChunkReceiver(input: input, output: pipe.writeEnd))
  }

  mutating func step() -> StreamStep { plain?.step() ?? packed?.receiver.step() ?? .end }

  /// Nothing more comes.
  mutating func close() {
    packed?.to.closeWriteEnd()
    guest.closeWriteEnd()
  }
}
