// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// What an HTTP server on 127.0.0.1 answers.
package struct HTTPAnswer: Sendable {
  package let code: Int
  package let head: String
  package let body: String

  /// Asks with GET, in the calling thread's network namespace.
  package init(port: UInt16, path: String) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw TestFailure("no socket") }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let connected = withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard connected == 0 else { throw TestFailure("cannot connect to port \(port)") }
    let request = Array("GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
    guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
      throw TestFailure("cannot ask port \(port)")
    }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count <= 0 { break }
      bytes += buffer[..<count]
    }
    let text = String(decoding: bytes, as: UTF8.self)
    guard let end = text.range(of: "\r\n\r\n"), let code = Int(text.dropFirst(9).prefix(3)) else {
      throw TestFailure("port \(port) answers: \(text)")
    }
    self.code = code
    head = String(text[..<end.lowerBound])
    body = String(text[end.upperBound...])
  }
}
