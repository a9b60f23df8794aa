import Foundation
import Interactions
import Testing

@Suite struct NegativeSamplerTests {
  private static let counts = [3, 0, 12, 1, 7, 7, 0, 40, 2, 5]

  private func sampler(_ distribution: NegativeSampler.Distribution) -> NegativeSampler {
    NegativeSampler(distribution, counts: Self.counts)
  }

  private func probabilities(_ sampler: NegativeSampler) -> [Double] {
    (0..<sampler.itemCount).map { sampler.probability(of: Int32($0)) }
  }

  @Test(arguments: NegativeSampler.Distribution.allCases)
  func probabilitiesSumToOne(distribution: NegativeSampler.Distribution) {
    #expect(abs(probabilities(sampler(distribution)).reduce(0, +) - 1) < 1e-12)
  }

  @Test func probabilitiesFollowTheirDefinitions() {
    #expect(probabilities(sampler(.uniform)) == Array(repeating: 0.1, count: 10))
    let total = Double(Self.counts.reduce(0, +))
    for (p, count) in zip(probabilities(sampler(.popularity)), Self.counts) {
      #expect(abs(p - Double(count) / total) < 1e-12)
    }
  }

  @Test func logUniformProbabilitiesFallWithTheRankOfAnItem() {
    // Worked out for ten classes; equal counts rank by lower index.
    let known = [
      0.28906, 0.16909, 0.11997, 0.09306, 0.07603, 0.06429, 0.05569, 0.04912, 0.04394, 0.03975,
    ]
    let ranked: [Int32] = [7, 2, 4, 5, 9, 0, 8, 3, 1, 6]
    for (item, p) in zip(ranked, known) {
      #expect(abs(sampler(.logUniform).probability(of: item) - p) < 5e-6, "item \(item)")
    }
  }

  @Test(arguments: NegativeSampler.Distribution.allCases)
  func drawsAreAsFrequentAsTheirProbabilities(distribution: NegativeSampler.Distribution) {
    let sampler = sampler(distribution)
    var generator = CounterGenerator(seed: 4)
    let draws = 100_000
    var found = Array(repeating: 0, count: 10)
    for _ in 0..<draws { found[Int(sampler.draw(using: &generator))] += 1 }
    var chiSquare = 0.0
    for (count, p) in zip(found, probabilities(sampler)) {
      let expected = p * Double(draws)
      guard p > 0 else {
        #expect(count == 0)
        continue
      }
      chiSquare += (Double(count) - expected) * (Double(count) - expected) / expected
    }
    // At most nine degrees of freedom: beyond 33.7 once in ten thousand times.
    #expect(chiSquare < 33.7)
  }

  @Test(arguments: NegativeSampler.Distribution.allCases)
  func distinctDrawsAreDistinct(distribution: NegativeSampler.Distribution) {
    let sampler = sampler(distribution)
    var generator = CounterGenerator(seed: 5)
    let possible = probabilities(sampler).count { $0 > 0 }
    for count in [0, 1, 3, possible, possible + 1, 1000] {
      let (items, draws) = sampler.drawDistinct(count, using: &generator)
      #expect(items.count == min(count, possible))
      #expect(Set(items).count == items.count && draws >= items.count)
    }
  }

  @Test func itemsThatHardlyEverComeAreNotWaitedFor() {
    let sampler = NegativeSampler(.popularity, counts: [1, 1_000_000, 900_000], power: 3)
    var generator = CounterGenerator(seed: 8)
    let (items, draws) = sampler.drawDistinct(3, using: &generator)
    #expect(Set(items) == [1, 2] && draws > 1000)
  }

  @Test func expectedCountsAreThoseOfRepeatedDraws() {
    let uniform = NegativeSampler(.logUniform, counts: (0..<10).map { 100 - $0 })
    // Worked out for seven draws from ten classes.
    #expect(abs(exp(uniform.logExpectedCount(of: 0, draws: 7)) - 0.90821) < 1e-5)
    #expect(abs(exp(uniform.logExpectedCount(of: 9, draws: 7)) - 0.24717) < 1e-5)
    #expect(abs(uniform.logExpectedCount(of: 3, draws: 1) - Float(log(0.09306))) < 1e-4)
  }

  @Test(arguments: NegativeSampler.Distribution.allCases)
  func itemsComeAsOftenAsExpected(distribution: NegativeSampler.Distribution) {
    // 1 - (1 - p)^draws is exact for a fixed number of draws.
    let sampler = sampler(distribution)
    var generator = CounterGenerator(seed: 6)
    let (rounds, draws) = (20_000, 6)
    var found = Array(repeating: 0, count: 10)
    for _ in 0..<rounds {
      let items = Set((0..<draws).map { _ in sampler.draw(using: &generator) })
      for item in items { found[Int(item)] += 1 }
    }
    for (item, count) in found.enumerated() where sampler.probability(of: Int32(item)) > 0 {
      let q = exp(Double(sampler.logExpectedCount(of: Int32(item), draws: draws)))
      let deviation = (Double(rounds) * q * (1 - q)).squareRoot()
      #expect(abs(Double(count) - q * Double(rounds)) < 5 * deviation + 1e-3, "item \(item)")
    }
  }

  @Test func itemsThatNeverComeHaveFiniteExpectations() {
    for item in [1, 6] as [Int32] {
      #expect(sampler(.popularity).logExpectedCount(of: item, draws: 5).isFinite)
    }
    let one = NegativeSampler(.uniform, counts: [4])
    #expect(one.logExpectedCount(of: 0, draws: 3) == 0)
  }

  @Test(arguments: NegativeSampler.Distribution.allCases)
  func targetsAreNeverDrawn(distribution: NegativeSampler.Distribution) {
    let sampler = sampler(distribution)
    var generator = CounterGenerator(seed: 7)
    let targets = (0..<2000).map { Int32($0 % 10) }
    let drawn = sampler.draw(perRow: 5, targets: targets, using: &generator)
    #expect(drawn.count == 5 * targets.count)
    for (i, item) in drawn.enumerated() { #expect(item != targets[i / 5]) }
    #expect(Set(drawn).allSatisfy { sampler.probability(of: $0) > 0 })
  }

  @Test(arguments: NegativeSampler.Distribution.allCases)
  func targetsThatAlmostAlwaysComeAreNotDrawnEither(
    distribution: NegativeSampler.Distribution
  ) {
    let skewed = NegativeSampler(distribution, counts: [1_000_000, 1, 1])
    var generator = CounterGenerator(seed: 8)
    let targets = Array(repeating: Int32(0), count: 1000)
    let drawn = skewed.draw(perRow: 1, targets: targets, using: &generator)
    #expect(!drawn.contains(0))
  }

  @Test(arguments: NegativeSampler.Distribution.allCases)
  func aCatalogueOfOneItemIsNoEndlessLoop(distribution: NegativeSampler.Distribution) {
    let one = NegativeSampler(distribution, counts: [7])
    var generator = CounterGenerator(seed: 9)
    #expect(abs(one.probability(of: 0) - 1) < 1e-12)
    #expect(one.draw(perRow: 3, targets: [0, 0], using: &generator).count == 6)
    #expect(one.drawDistinct(5, using: &generator).items == [0])
  }
}
