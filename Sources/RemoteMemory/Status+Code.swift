// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP

extension Status {
  /// The errno value that comes nearest to a refusal.
  var code: Int32 {
    switch self {
    case .noRegion: ENOENT
    case .denied: EACCES
    case .busy, .tooMany: EBUSY
    case .tooLarge, .outOfRange: ERANGE
    case .noSpace: ENOSPC
    case .noStrategy: EINVAL
    case .readOnly: EROFS
    case .noWindow: EOPNOTSUPP
    case .lost, .ioError: EIO
    case .ok, .badVersion, .badOpcode, .badMessage, .badSession: EPROTO
    }
  }
}
