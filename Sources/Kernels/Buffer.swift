import CProcessor
import Glibc

/// Memory could not be had.
public struct OutOfMemory: Error {
  public let bytes: Int

  public init(bytes: Int) { self.bytes = bytes }
}

/// A block of floats, aligned to 64 bytes, that goes back to a pool when nobody refers to it.
///
/// Fresh hundreds of megabytes cost page faults in each step; blocks that are used again do not.
public final class Buffer: @unchecked Sendable {
  public let pointer: UnsafeMutablePointer<Float>
  public let count: Int
  private let sizeClass: Int

  /// Makes a buffer whose contents are undefined. Traps where memory is exhausted: large
  /// allocations that a caller's numbers decide on are checked first, with `Buffer.require`.
  public init(count: Int) {
    self.count = count
    sizeClass = BufferPool.sizeClass(of: count)
    guard let block = BufferPool.shared.take(sizeClass) else {
      fatalError("Elastirec: no memory for \(count) floats")
    }
    pointer = block
  }

  deinit { BufferPool.shared.give(pointer, sizeClass) }

  /// Throws where `bytes` more than the machine's memory would be needed.
  public static func require(bytes: Int) throws {
    let limit = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    guard bytes >= 0, bytes <= limit else { throw OutOfMemory(bytes: bytes) }
    // The system refuses what its limits (ulimit -v) do not allow.
    guard let probe = malloc(max(1, bytes)) else { throw OutOfMemory(bytes: bytes) }
    free(probe)
  }

  /// Gives the memory of all free blocks back to the system.
  public static func trim() { BufferPool.shared.trim() }
}

/// Free blocks by size class: four classes to each power of two.
final class BufferPool: @unchecked Sendable {
  static let shared = BufferPool()

  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var blocks: [[UnsafeMutablePointer<Float>]] = Array(repeating: [], count: 256)

  private init() {
    pthread_mutex_init(lock, nil)
    // Held across fork, so that the child never finds it locked by a thread that it does not have.
    pthread_atfork(
      { pthread_mutex_lock(BufferPool.shared.lock) },
      { pthread_mutex_unlock(BufferPool.shared.lock) },
      { pthread_mutex_unlock(BufferPool.shared.lock) })
  }

  /// Class 4 e + q holds blocks of 2^e * (4 + q) / 4 floats.
  static func sizeClass(of count: Int) -> Int {
    let count = max(count, 64)
    let exponent = Int.bitWidth - 1 - count.leadingZeroBitCount
    let quarter = 1 << (exponent - 2)
    let steps = (count - (1 << exponent) + quarter - 1) / quarter
    return 4 * exponent + steps
  }

  static func capacity(of sizeClass: Int) -> Int {
    let (exponent, steps) = (sizeClass / 4, sizeClass % 4)
    return (1 << exponent) / 4 * (4 + steps)
  }

  func take(_ sizeClass: Int) -> UnsafeMutablePointer<Float>? {
    pthread_mutex_lock(lock)
    let block = blocks[sizeClass].popLast()
    pthread_mutex_unlock(lock)
    if let block { return block }
    var fresh: UnsafeMutableRawPointer?
    let bytes = Self.capacity(of: sizeClass) * MemoryLayout<Float>.stride
    guard posix_memalign(&fresh, 64, bytes) == 0, let fresh else { return nil }
    return fresh.bindMemory(to: Float.self, capacity: Self.capacity(of: sizeClass))
  }

  func give(_ block: UnsafeMutablePointer<Float>, _ sizeClass: Int) {
    pthread_mutex_lock(lock)
    blocks[sizeClass].append(block)
    pthread_mutex_unlock(lock)
  }

  func trim() {
    pthread_mutex_lock(lock)
    for sizeClass in blocks.indices {
      for block in blocks[sizeClass] { free(block) }
      blocks[sizeClass].removeAll()
    }
    pthread_mutex_unlock(lock)
    processor_trim_memory()
  }
}
