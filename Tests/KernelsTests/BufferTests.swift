import Foundation
import Kernels
import Testing

/// One after the other: some look at which memory the pool gives.
@Suite(.serialized) struct BufferTests {
  private static let counts: [Int] =
    (0...300)
    + (6...20).flatMap { exponent -> [Int] in
      let power = 1 << exponent
      return [power - 1, power, power + 1, power + power / 4]
    }

  /// The bytes of a block of the C library's memory.
  private func size(of block: UnsafeMutablePointer<Float>) throws -> Int {
    let function = try #require(dlsym(dlopen(nil, RTLD_NOW), "malloc_usable_size"))
    typealias Size = @convention(c) (UnsafeMutableRawPointer) -> Int
    return unsafeBitCast(function, to: Size.self)(block)
  }

  @Test func buffersHoldWhatWasAskedForAlignedTo64Bytes() throws {
    for count in Self.counts {
      let buffer = Buffer(count: count)
      #expect(buffer.count == count)
      #expect(Int(bitPattern: buffer.pointer) % 64 == 0, "\(count)")
      #expect(try size(of: buffer.pointer) >= 4 * count, "\(count)")
    }
  }

  @Test func buffersWasteAtMostAQuarter() throws {
    for count in Self.counts where count >= 4096 {
      let buffer = Buffer(count: count)
      // The C library may map a large block as whole pages.
      let pages = 2 * 4096.0
      #expect(Double(try size(of: buffer.pointer)) < 5 * Double(count) + pages, "\(count)")
    }
  }

  @Test func buffersInUseShareNoMemory() {
    let buffers = (0..<100).map { i in
      let buffer = Buffer(count: 60 + i)
      buffer.pointer.update(repeating: Float(i), count: buffer.count)
      return buffer
    }
    for (i, buffer) in buffers.enumerated() {
      #expect((0..<buffer.count).allSatisfy { buffer.pointer[$0] == Float(i) }, "\(i)")
    }
  }

  @Test func memoryIsUsedAgain() {
    // Other tests use the pool too, but not for this size.
    let count = 3_333_333
    let first = Buffer(count: count).pointer
    let again = Buffer(count: count - 1000)
    #expect(again.pointer == first)
    let other = Buffer(count: count)
    #expect(other.pointer != first)
  }

  @Test func trimmedPoolsStillGiveMemory() {
    Buffer.trim()
    let buffer = Buffer(count: 1000)
    buffer.pointer.update(repeating: 1, count: 1000)
    #expect(buffer.pointer[999] == 1)
  }

  @Test(arguments: [Int.max, Int.max / 2, 1 << 60, -1, .min])
  func absurdSizesThrowOutOfMemory(bytes: Int) {
    #expect(throws: OutOfMemory.self) { try Buffer.require(bytes: bytes) }
  }

  @Test(arguments: [0, 1, 1 << 20])
  func ordinarySizesAreFound(bytes: Int) throws { try Buffer.require(bytes: bytes) }
}
