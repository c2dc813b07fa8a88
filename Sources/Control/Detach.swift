// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc

/// Detaches `device`.
///
/// - Parameters:
///   - force: lets outstanding and later requests fail instead of refusing while it is open.
///   - swapoff: stops swapping to it first.
/// - Throws: ``Failure`` that names who uses the device when it is busy.
public func detach(
  _ device: DeviceName, force: Bool, swapoff: Bool, _ files: KernelFiles, _ tools: some SwapTools
) throws(Failure) {
  try files.requireAttached(device)
  if let use = files.swapUse(of: device) {
    if swapoff {
      try tools.stopSwapping(device, files)
    } else if !force {
      throw Failure(
        .failed,
        "\(device) is in use as swap, with \(ByteSize(bytes: use.usedBytes)) on it; "
          + "stop that first with: memxctl detach --swapoff \(device)", errno: "EBUSY")
    }
  }
  do {
    try writeSmallFile(files.attributes(of: device) + "/detach", force ? "force\n" : "1\n")
  } catch {
    throw detachFailure(error, device, files)
  }
}

/// What `error`, as the write to the attribute `detach` gave it, means to who asked.
func detachFailure(_ error: SystemError, _ device: DeviceName, _ files: KernelFiles) -> Failure {
  switch error.code {
  case EBUSY:
    let user = files.mountPoint(of: device).map { "mounted on \($0); unmount it first" }
    return Failure(
      .failed,
      "\(device) is " + (user ?? "open in a program; `fuser -v \(device.path)` tells which"),
      errno: error.name)
  case EACCES, EPERM:
    return Failure(
      .failed, "detaching a device needs root; try: sudo memxctl detach \(device)",
      errno: error.name)
  case ENOENT, ENODEV:
    return Failure(.notThere, "\(device) is not attached any more", errno: error.name)
  default:
    return Failure(.failed, "cannot detach \(device): \(error)", errno: error.name)
  }
}
