/// A counter-based generator: SplitMix64 (Steele et al., 2014), started from a seed, a step and a
/// purpose, so that no stream depends on what others drew.
public struct CounterGenerator: RandomNumberGenerator {
  private var state: UInt64

  public init(seed: UInt64, step: UInt64 = 0, purpose: UInt64 = 0) {
    state = Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15)
    state = Self.mix(state ^ Self.mix(step &+ 0xD1B5_4A32_D192_ED03))
    state = Self.mix(state ^ Self.mix(purpose &+ 0x8CB9_2BA7_2F3D_8DD7))
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  private static func mix(_ x: UInt64) -> UInt64 {
    var z = x
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number in 0 ..< 1.
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
}
