// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Daemon

@main enum Main {
  static func main() async { await Memxd.main() }
}
