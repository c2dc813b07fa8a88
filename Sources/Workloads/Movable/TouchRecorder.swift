// SPDX-License-Identifier: Apache-2.0
import CMemx
import Console

/// Scratch memory that notes in which order its pages are touched, exactly and for any program and
/// number of threads: `memx_touches.h` says how. A first touch takes some microseconds more.
public struct TouchRecorder: ~Copyable {
  /// Why there is no recorder.
  public struct Failure: Error, CustomStringConvertible {
    /// What failed and why, in a sentence.
    public var description: String
  }

  private let touches: OpaquePointer
  /// How many pages there are.
  public let pages: Int

  /// Zeroed memory of `pages` pages, whose touches are not recorded before ``arm()``.
  ///
  /// - Throws: ``Failure`` when the kernel lacks memory, or userfaultfd with minor faults on shared
  ///   memory (Linux 5.14).
  public init(pages: Int) throws(Failure) {
    precondition(pages > 0 && pages <= MovableParameters.pagesMax)
    var step: UnsafePointer<CChar>?
    guard let touches = memx_touches_open(pages, &step) else {
      let error = SystemError()
      let name = step.map { String(cString: $0) } ?? "starting"
      throw Failure(description: "cannot record page touches: \(name) failed: \(error)")
    }
    self.touches = touches
    self.pages = pages
  }

  deinit { memx_touches_close(touches) }

  /// The first byte.
  public var memory: UnsafeMutableRawPointer { memx_touches_base(touches) }

  /// Forgets what was touched; from now on each page's first touch is recorded. No other thread
  /// may be using the memory meanwhile.
  public func arm() throws(Failure) {
    let error = memx_touches_arm(touches)
    guard error == 0 else {
      throw Failure(description: "cannot record page touches: \(SystemError(code: error))")
    }
  }

  /// How many pages were touched since ``arm()``.
  public var count: Int { memx_touches_count(touches) }

  /// The pages touched since ``arm()``, in the order of their first touches.
  public var touched: [Int] {
    let count = memx_touches_count(touches)
    return UnsafeBufferPointer(start: memx_touches_pages(touches), count: count).map(Int.init)
  }
}
