import Interactions
import Testing

@Suite struct CounterGeneratorTests {
  private func numbers(_ generator: CounterGenerator) -> [UInt64] {
    var generator = generator
    return (0..<50).map { _ in generator.next() }
  }

  @Test func streamsFollowTheirKeys() {
    let first = numbers(CounterGenerator(seed: 1, step: 2, purpose: 3))
    #expect(numbers(CounterGenerator(seed: 1, step: 2, purpose: 3)) == first)
    #expect(Set(first).count == first.count)
    let keys: [(UInt64, UInt64, UInt64)] = [
      (0, 2, 3), (2, 2, 3), (1, 0, 3), (1, 3, 3), (1, 2, 0), (1, 2, 4), (2, 1, 3), (3, 2, 1),
      (1, 3, 2), (.max, .max, .max), (0, 0, 0),
    ]
    var seen = Set(first)
    for (seed, step, purpose) in keys {
      let other = numbers(CounterGenerator(seed: seed, step: step, purpose: purpose))
      // No stream is another one, nor a later part of it.
      #expect(seen.isDisjoint(with: other), "\(seed) \(step) \(purpose)")
      seen.formUnion(other)
    }
  }

  @Test func uniformNumbersFillTheirInterval() {
    var generator = CounterGenerator(seed: 5)
    let draws = 64_000
    var bins = Array(repeating: 0, count: 64)
    for _ in 0..<draws {
      let x = generator.uniform()
      #expect(x >= 0 && x < 1)
      bins[Int(x * 64)] += 1
    }
    let chiSquare = bins.reduce(0.0) { $0 + Double(($1 - 1000) * ($1 - 1000)) / 1000 }
    // 63 degrees of freedom: beyond 114 once in ten thousand times.
    #expect(chiSquare < 114)
  }

  @Test func seedsThatFollowEachOtherAreUnrelated() {
    // The first bit of the first number over many seeds.
    for shift in [0, 31, 63] {
      let ones = (0..<4000).count { seed in
        numbers(CounterGenerator(seed: UInt64(seed)))[0] >> UInt64(shift) & 1 == 1
      }
      #expect(abs(ones - 2000) < 158)  // five standard deviations
    }
  }
}
