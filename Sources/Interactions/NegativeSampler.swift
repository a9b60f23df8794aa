import Glibc

/// Draws items that a history does not continue with.
public struct NegativeSampler: Sendable {
  public enum Distribution: String, Sendable, CaseIterable {
    /// Every item alike.
    case uniform
    /// In proportion to a power of how often an item occurs in training.
    case popularity
    /// p(k) = (ln(k + 2) - ln(k + 1)) / ln(items + 1) for the k-th most frequent item, from 0
    /// (TensorFlow's `log_uniform_candidate_sampler`).
    case logUniform = "log_uniform"
  }

  public let itemCount: Int
  private let distribution: Distribution
  /// Sums of the probabilities of items in the order of `ranked`.
  private let cumulative: [Double]
  /// Items, the most frequent first; empty where the order does not matter.
  private let ranked: [Int32]
  private let rank: [Int32]

  /// - Parameters:
  ///   - counts: how often each item occurs in training.
  ///   - power: of the counts, for `.popularity`.
  public init(_ distribution: Distribution, counts: [Int], power: Double = 1) {
    itemCount = counts.count
    self.distribution = distribution
    switch distribution {
    case .uniform:
      (cumulative, ranked, rank) = ([], [], [])
    case .popularity:
      var sum = 0.0
      cumulative = counts.map { count in
        sum += count == 0 ? 0 : pow(Double(count), power)
        return sum
      }
      (ranked, rank) = ([], [])
    case .logUniform:
      let order = counts.indices.sorted { (counts[$0], $1) > (counts[$1], $0) }
      ranked = order.map(Int32.init)
      var places = Array(repeating: Int32(0), count: counts.count)
      for (place, item) in order.enumerated() { places[item] = Int32(place) }
      (cumulative, rank) = ([], places)
    }
  }

  /// The probability that one draw gives `item`.
  public func probability(of item: Int32) -> Double {
    switch distribution {
    case .uniform: return 1 / Double(itemCount)
    case .popularity:
      let i = Int(item)
      return (cumulative[i] - (i == 0 ? 0 : cumulative[i - 1])) / cumulative[itemCount - 1]
    case .logUniform:
      let k = Double(rank[Int(item)])
      return log1p(1 / (k + 1)) / log(Double(itemCount) + 1)
    }
  }

  public func draw(using generator: inout CounterGenerator) -> Int32 {
    switch distribution {
    case .uniform: return Int32.random(in: 0..<Int32(itemCount), using: &generator)
    case .popularity:
      let wanted = generator.uniform() * cumulative[itemCount - 1]
      var (low, high) = (0, itemCount - 1)
      while low < high {
        let middle = (low + high) / 2
        if cumulative[middle] > wanted { high = middle } else { low = middle + 1 }
      }
      return Int32(low)
    case .logUniform:
      // The distribution function at k is ln(k + 2) / ln(items + 1).
      let k = Int(exp(generator.uniform() * log(Double(itemCount) + 1))) - 1
      return ranked[min(max(k, 0), itemCount - 1)]
    }
  }

  /// Draws until `count` different items came, and returns them with the number of draws. They are
  /// fewer where fewer can come, or so rare ones that very many draws did not bring them.
  public func drawDistinct(_ count: Int, using generator: inout CounterGenerator)
    -> (items: [Int32], draws: Int)
  {
    let possible =
      distribution == .popularity
      ? (0..<Int32(itemCount)).filter { probability(of: $0) > 0 }.count : itemCount
    var seen = Set<Int32>()
    var items: [Int32] = []
    var draws = 0
    while items.count < min(count, possible) && draws < 1024 + 64 * count {
      draws += 1
      let item = draw(using: &generator)
      if seen.insert(item).inserted { items.append(item) }
    }
    return (items, draws)
  }

  /// ln of the expected count of `item` among `draws` draws that are repeated until all are
  /// distinct: 1 - (1 - p)^draws.
  public func logExpectedCount(of item: Int32, draws: Int) -> Float {
    // An item that is never drawn would get -infinity; the floor only keeps its own logit finite.
    let p = max(probability(of: item), 1e-12)
    return Float(log(-expm1(Double(draws) * log1p(-min(p, 1 - 1e-12)))))
  }

  /// Draws `perRow` items for each target, never the target itself where there is another item.
  public func draw(
    perRow: Int, targets: [Int32], using generator: inout CounterGenerator
  ) -> [Int32] {
    var result: [Int32] = []
    result.reserveCapacity(perRow * targets.count)
    for target in targets {
      for _ in 0..<perRow {
        var item = draw(using: &generator)
        for _ in 0..<64 where item == target { item = draw(using: &generator) }
        if item == target, itemCount > 1 {
          // Hardly anything but the target comes; any other item will do.
          item = Int32.random(in: 0..<Int32(itemCount - 1), using: &generator)
          if item >= target { item += 1 }
        }
        result.append(item)
      }
    }
    return result
  }
}
