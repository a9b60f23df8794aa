public import Autograd

/// Random numbers for tests: SplitMix64 (Steele et al., 2014).
public struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Returns `count` random numbers, the same for the same seed.
public func randomFloats(_ count: Int, seed: UInt64, in range: ClosedRange<Float> = -2...2)
  -> [Float]
{
  var generator = SplitMix64(seed: seed)
  return (0..<count).map { _ in Float.random(in: range, using: &generator) }
}

/// Returns a tensor that outlives tapes and wants a gradient.
public func leaf(_ values: [Float], shape: [Int]) -> Tensor {
  let tensor = Tensor(shape: shape, needsGradient: true, isLeaf: true)
  precondition(values.count == tensor.count, "\(values.count) numbers cannot fill \(shape)")
  for (i, value) in values.enumerated() { tensor.pointer[i] = value }
  return tensor
}

/// Returns a leaf of random numbers.
public func randomLeaf(shape: [Int], seed: UInt64) -> Tensor {
  leaf(randomFloats(shape.reduce(1, *), seed: seed), shape: shape)
}

/// Floats at an address that no vector is aligned to, between guards that show writes out of
/// bounds.
public final class Guarded {
  public let pointer: UnsafeMutablePointer<Float>
  public let count: Int
  private let block: UnsafeMutablePointer<Float>
  private static let margin = 19
  private static let sentinel: Float = -1234.5

  public init(_ values: [Float]) {
    count = values.count
    block = .allocate(capacity: count + 2 * Self.margin)
    block.initialize(repeating: Self.sentinel, count: count + 2 * Self.margin)
    pointer = block + Self.margin
    for (i, value) in values.enumerated() { pointer[i] = value }
  }

  public convenience init(count: Int, value: Float = .nan) {
    self.init(Array(repeating: value, count: count))
  }

  deinit { block.deallocate() }

  public var values: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  /// Whether nothing was written before or after the numbers.
  public var isIntact: Bool {
    (0..<Self.margin).allSatisfy {
      block[$0] == Self.sentinel && pointer[count + $0] == Self.sentinel
    }
  }
}
