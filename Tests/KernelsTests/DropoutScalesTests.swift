import Kernels
import Testing
import VectorLoops
import _TestSupport

@Suite struct DropoutScalesTests {
  /// Threefry-2x32 as Salmon et al. define it (SC 2011, section 3.2 and table 2), one word at a
  /// time.
  private static func threefry(_ counter: [UInt32], key: [UInt32], rounds: Int) -> [UInt32] {
    let rotations: [UInt32] = [13, 15, 26, 6, 17, 29, 16, 24]
    let keys = [key[0], key[1], 0x1BD1_1BDA ^ key[0] ^ key[1]]
    var x = [counter[0] &+ keys[0], counter[1] &+ keys[1]]
    for round in 0..<rounds {
      x[0] = x[0] &+ x[1]
      let by = rotations[round % 8]
      x[1] = (x[1] << by | x[1] >> (32 - by)) ^ x[0]
      if round % 4 == 3 {
        let injection = round / 4 + 1
        x[0] = x[0] &+ keys[injection % 3]
        x[1] = x[1] &+ keys[(injection + 1) % 3] &+ UInt32(injection)
      }
    }
    return x
  }

  /// What the loops promise: element i is a number of 16 bits of block i / 64, where lane j has the
  /// four numbers of the counter (16 block + j, op).
  private static func scale(of element: Int, _ key: RandomKey, _ probability: Float) -> Float {
    let (block, place) = element.quotientAndRemainder(dividingBy: 64)
    let counter = UInt64(block) * 16 + UInt64(place % 16)
    let high = UInt32(truncatingIfNeeded: counter >> 32)
    let words = threefry(
      [UInt32(truncatingIfNeeded: counter), key.op ^ (high &* 0x9E37_79B9)],
      key: [
        UInt32(truncatingIfNeeded: key.seed) ^ (key.step &* 0x85EB_CA6B),
        UInt32(truncatingIfNeeded: key.seed >> 32) ^ key.step,
      ], rounds: 13)
    let word = words[place / 32]
    let number = (place / 16).isMultiple(of: 2) ? word & 0xFFFF : word >> 16
    return Float(number) < (probability * 65536).rounded() ? 0 : 1 / (1 - probability)
  }

  @Test func threefryGivesThePublishedAnswers() {
    // The known-answer vectors of Random123, the authors' library.
    let ones: [UInt32] = [0xFFFF_FFFF, 0xFFFF_FFFF]
    let (counter, key): ([UInt32], [UInt32]) = (
      [0x243F_6A88, 0x85A3_08D3], [0x1319_8A2E, 0x0370_7344]
    )
    #expect(Self.threefry([0, 0], key: [0, 0], rounds: 20) == [0x6B20_0159, 0x99BA_4EFE])
    #expect(Self.threefry(ones, key: ones, rounds: 20) == [0x1CB9_96FC, 0xBB00_2BE7])
    #expect(Self.threefry(counter, key: key, rounds: 20) == [0xC492_3A9C, 0x483D_F7A0])
    #expect(Self.threefry([0, 0], key: [0, 0], rounds: 13) == [0x9D1C_5EC6, 0x8BD5_0731])
    #expect(Self.threefry(ones, key: ones, rounds: 13) == [0xFD36_D048, 0x2D17_272C])
    #expect(Self.threefry(counter, key: key, rounds: 13) == [0xBA3E_4725, 0xF27D_669E])
  }

  @Test(
    arguments: InstructionSet.supported,
    [
      RandomKey(seed: 0, step: 0, op: 0),
      RandomKey(seed: 0x0123_4567_89AB_CDEF, step: 7, op: 3),
      RandomKey(seed: .max, step: .max, op: .max),
    ])
  func scalesAreThoseOfThreefry(set: InstructionSet, key: RandomKey) {
    for (start, count) in [
      (0, 0), (0, 1), (0, 64), (0, 1000), (1, 15), (63, 2), (17, 130), (64, 64), (100, 99),
      // Counters beyond 32 bits reach the second word.
      (1 << 36, 70), ((1 << 34) - 30, 64),
    ] {
      let scales = Guarded(count: count)
      set.loops.dropoutScales(
        scales.pointer, start: start, count: count, key: key, probability: 0.3)
      let expected = (0..<count).map { Self.scale(of: start + $0, key, 0.3) }
      expectSameBits(scales.values, expected, "start \(start), count \(count)")
      #expect(scales.isIntact)
    }
  }

  @Test(arguments: InstructionSet.supported, [Float(0.001), 0.1, 0.5, 0.9])
  func shareOfZerosIsTheProbability(set: InstructionSet, probability: Float) {
    let count = 200_000
    let scales = Guarded(count: count)
    set.loops.dropoutScales(
      scales.pointer, start: 5, count: count, key: RandomKey(seed: 11, step: 2, op: 1),
      probability: probability)
    let zeros = Double(scales.values.count { $0 == 0 })
    let p = Double(probability)
    // Five standard deviations of the binomial distribution.
    #expect(abs(zeros - p * Double(count)) < 5 * (p * (1 - p) * Double(count)).squareRoot())
    #expect(scales.values.allSatisfy { $0 == 0 || $0 == 1 / (1 - probability) })
  }
}
