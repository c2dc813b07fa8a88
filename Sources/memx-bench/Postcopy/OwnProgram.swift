// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The path of this program's file.
func ownProgram() -> String {
  let link = "/proc/self/exe"
  guard let path = realpath(link, nil) else { return link }
  defer { free(path) }
  return access(path, X_OK) == 0 ? String(cString: path) : link
}
