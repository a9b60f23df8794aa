import VectorLoops

extension Loops {
  public func dropoutScales(
    _ scales: Output, start: Int, count: Int, key: RandomKey, probability: Float
  ) {
    let threshold = VectorBits(repeating: UInt32((probability * 65536).rounded()))
    let keep = Vector(repeating: 1 / (1 - probability))
    var i = 0
    while i < count {
      let block = (start + i) / 64
      let offset = (start + i) % 64
      let scratch = blockOfScales(block, key, threshold, keep)
      if offset == 0 && i + 64 <= count {
        store(scratch.0, scales, i)
        store(scratch.1, scales, i + lanes)
        store(scratch.2, scales, i + 2 * lanes)
        store(scratch.3, scales, i + 3 * lanes)
        i += 64
      } else {
        let part = min(64 - offset, count - i)
        withUnsafeBytes(of: scratch) { bytes in
          let numbers = bytes.bindMemory(to: Float.self)
          for j in 0..<part { scales[i + j] = numbers[offset + j] }
        }
        i += part
      }
    }
  }

  /// Returns the 64 scales of one block: lane j of Threefry's counter (block * 16 + j, op) gives
  /// two words, each with two numbers of 16 bits.
  @_transparent
  func blockOfScales(_ block: Int, _ key: RandomKey, _ threshold: VectorBits, _ keep: Vector)
    -> (Vector, Vector, Vector, Vector)
  {
    let counter = UInt64(truncatingIfNeeded: block) &* 16
    let ramp = VectorBits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    let (a, b) = threefry(
      VectorBits(repeating: UInt32(truncatingIfNeeded: counter)) &+ ramp,
      VectorBits(repeating: key.op ^ (UInt32(truncatingIfNeeded: counter >> 32) &* 0x9E37_79B9)),
      UInt32(truncatingIfNeeded: key.seed) ^ (key.step &* 0x85EB_CA6B),
      UInt32(truncatingIfNeeded: key.seed >> 32) ^ key.step)
    let mask = VectorBits(repeating: 0xFFFF)
    let sixteen = VectorBits(repeating: 16)
    return (
      Vector.zero.replacing(with: keep, where: (a & mask) .>= threshold),
      Vector.zero.replacing(with: keep, where: (a &>> sixteen) .>= threshold),
      Vector.zero.replacing(with: keep, where: (b & mask) .>= threshold),
      Vector.zero.replacing(with: keep, where: (b &>> sixteen) .>= threshold)
    )
  }
}

@_transparent
func rotate(_ x: VectorBits, _ by: UInt32) -> VectorBits {
  (x &<< VectorBits(repeating: by)) | (x &>> VectorBits(repeating: 32 - by))
}

@_transparent
func fourRounds(
  _ a: inout VectorBits, _ b: inout VectorBits, _ r0: UInt32, _ r1: UInt32, _ r2: UInt32,
  _ r3: UInt32
) {
  a = a &+ b
  b = rotate(b, r0) ^ a
  a = a &+ b
  b = rotate(b, r1) ^ a
  a = a &+ b
  b = rotate(b, r2) ^ a
  a = a &+ b
  b = rotate(b, r3) ^ a
}

/// Threefry-2x32-13 (Salmon et al., SC 2011, table 2 and section 3.2).
@_transparent
func threefry(_ counter0: VectorBits, _ counter1: VectorBits, _ key0: UInt32, _ key1: UInt32)
  -> (VectorBits, VectorBits)
{
  let k0 = VectorBits(repeating: key0)
  let k1 = VectorBits(repeating: key1)
  let k2 = VectorBits(repeating: key0 ^ key1 ^ 0x1BD1_1BDA)
  var a = counter0 &+ k0
  var b = counter1 &+ k1
  fourRounds(&a, &b, 13, 15, 26, 6)
  a = a &+ k1
  b = b &+ k2 &+ VectorBits(repeating: 1)
  fourRounds(&a, &b, 17, 29, 16, 24)
  a = a &+ k2
  b = b &+ k0 &+ VectorBits(repeating: 2)
  fourRounds(&a, &b, 13, 15, 26, 6)
  a = a &+ k0
  b = b &+ k1 &+ VectorBits(repeating: 3)
  a = a &+ b
  b = rotate(b, 17) ^ a
  return (a, b)
}
