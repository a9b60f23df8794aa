public import Autograd
public import Interactions
public import Kernels
import Layers

/// Recommends what most people took, whatever the history: the first baseline of every comparison.
public struct Popularity: Recommender {
  /// How often each item occurs in training, `[items]`. Counted, not trained.
  let popularity: Parameter

  public init(items: Int) {
    popularity = Parameter(shape: [items])
    popularity.isFrozen = true
  }

  public var itemCount: Int { popularity.value.count }
  public var maximalLength: Int { 1 }
  public var itemVectors: Tensor? { nil }
  public var configurationJSON: String { "{\"model\": \"popularity\", \"items\": \(itemCount)}" }

  public func score(_ batch: PackedBatch, into scores: Matrix) {
    for r in 0..<scores.rows {
      (scores.pointer + r * scores.stride).update(from: popularity.value.pointer, count: itemCount)
    }
  }

  public func cost(length: Int) -> Cost { Cost(parameters: itemCount, macs: 0) }
}
