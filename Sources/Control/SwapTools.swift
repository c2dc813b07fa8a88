// SPDX-License-Identifier: Apache-2.0
import CMemx
import Console
import Glibc

/// How to swap to a device: the flags of `swapon(2)`.
public struct SwapOptions: Sendable, Equatable {
  /// Priority, 0 to 32767; nil lets the kernel choose one below all others.
  public var priority: Int?
  /// Whether freed swap slots are discarded, which frees their memory on the server.
  public var discard: Bool

  /// Options with `priority` and `discard`.
  public init(priority: Int? = nil, discard: Bool = false) {
    self.priority = priority
    self.discard = discard
  }

  /// The flags as `linux/swap.h` packs them: `SWAP_FLAG_PREFER` with the priority in the low 15
  /// bits, and `SWAP_FLAG_DISCARD`.
  public var flags: Int32 {
    (priority.map { 0x8000 | Int32($0 & 0x7fff) } ?? 0) | (discard ? 0x1_0000 : 0)
  }
}

/// What a machine does to swap to a device and to stop that. The seam that lets tests do neither.
public protocol SwapTools {
  /// Writes a swap signature on the device at `path`; returns the exit status of the program.
  func mkswap(_ path: String) throws(SystemError) -> Int32
  /// `swapon(2)`.
  func swapon(_ path: String, flags: Int32) throws(SystemError)
  /// `swapoff(2)`, which returns when every page has been read back.
  func swapoff(_ path: String) throws(SystemError)
}

/// The machine's own: the program `mkswap`, and the system calls.
public struct MachineSwapTools: SwapTools {
  /// The machine's own tools.
  public init() {}

  public func mkswap(_ path: String) throws(SystemError) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // Its report would stand before ours, and in front of the JSON.
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("mkswap"), strdup(path), nil]
    defer { for argument in arguments { free(argument) } }
    var child: pid_t = 0
    let code = posix_spawnp(&child, "mkswap", &actions, nil, &arguments, environ)
    guard code == 0 else { throw SystemError(code: code) }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 {
      guard errno == EINTR else { throw SystemError() }
    }
    return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f
  }

  public func swapon(_ path: String, flags: Int32) throws(SystemError) {
    guard memx_swapon(path, flags) == 0 else { throw SystemError() }
  }

  public func swapoff(_ path: String) throws(SystemError) {
    guard memx_swapoff(path) == 0 else { throw SystemError() }
  }
}

extension SwapTools {
  /// Makes `device` swap space and swaps to it.
  ///
  /// - Throws: ``Failure`` that says which of the two steps failed and why.
  public func startSwapping(_ device: DeviceName, _ options: SwapOptions) throws(Failure) {
    let status: Int32
    do {
      status = try mkswap(device.path)
    } catch {
      throw Failure(
        .failed,
        error.code == ENOENT
          ? "there is no program mkswap in PATH; install the package util-linux"
          : "cannot run mkswap: \(error)", errno: error.name)
    }
    guard status == 0 else {
      throw Failure(.failed, "mkswap \(device.path) failed with exit status \(status)")
    }
    do {
      try swapon(device.path, flags: options.flags)
    } catch {
      throw Failure(.failed, "cannot swap to \(device.path): \(error)", errno: error.name)
    }
  }

  /// Stops swapping to `device`; reads all that is there back into memory.
  ///
  /// - Throws: ``Failure``, with the figure when memory is too small for it.
  public func stopSwapping(_ device: DeviceName, _ files: KernelFiles) throws(Failure) {
    do {
      try swapoff(device.path)
    } catch {
      let held =
        files.swapUse(of: device).map { "\(ByteSize(bytes: $0.usedBytes))" } ?? "what is there"
      throw Failure(
        .failed,
        error.code == ENOMEM
          ? "cannot take \(held) back from \(device): not enough free memory and other swap; "
            + "stop some programs, or add swap elsewhere first"
          : "cannot stop swapping to \(device.path): \(error)", errno: error.name)
    }
  }
}

extension AttachRequest {
  /// Attaches and, given options for `swap`, swaps to the device. All or nothing: a device that
  /// was asked for as swap and cannot be swapped to is detached again.
  ///
  /// - Throws: ``Failure`` of the step that failed.
  public func attach(
    _ files: KernelFiles, swap: SwapOptions?, _ tools: some SwapTools
  ) throws(Failure) -> DeviceName {
    let device = try attach(files)
    guard let swap else { return device }
    do throws(Failure) {
      try tools.startSwapping(device, swap)
    } catch {
      try? detach(device, force: false, swapoff: false, files, tools)
      throw error
    }
    return device
  }
}
