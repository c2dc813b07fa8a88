// SPDX-License-Identifier: Apache-2.0

extension KernelFiles {
  /// The devices that a command is about: the one named, or all that are attached.
  ///
  /// - Throws: ``Failure`` with ``Exit/notThere`` when the named one is not attached, or the
  ///   module is not loaded.
  public func chosen(_ device: DeviceName?) throws(Failure) -> [DeviceName] {
    guard isModuleLoaded else { throw Self.moduleMissing(.notThere) }
    guard let device else { return devices() }
    try requireAttached(device)
    return [device]
  }
}
