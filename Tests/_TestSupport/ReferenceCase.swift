public import Autograd
import Foundation
import Interactions
import Layers
public import Models
public import Testing

/// One model with its weights, examples to train on, and what follows from them.
public struct ReferenceCase: Decodable, Sendable, CustomTestStringConvertible {
  /// Packed inputs, and the tokens whose states predict the targets.
  public struct Examples: Decodable, Sendable {
    public let items: [Int32]
    public let offsets: [Int]
    public let rows: [Int32]
    public let targets: [Int32]
    public let users: [Int32]?
  }

  /// What is known about each item: some values, packed, or a vector.
  public struct Feature: Decodable, Sendable {
    public let values: [Int32]?
    public let offsets: [Int]?
    public let vectors: FixtureArray?
  }

  public let name: String
  public let configuration: [String: FixtureSetting]
  public let parameters: [String: FixtureArray]
  public let features: [Feature]?
  public let examples: Examples
  /// The states at `examples.rows`.
  public let hidden: FixtureArray
  /// The mean softmax cross-entropy over the rows.
  public let loss: Double
  /// With respect to every parameter that is trained.
  public let gradients: [String: FixtureArray]
  public let histories: ModelCase.Rows
  public let scores: FixtureArray
  /// Of nested models: the scores of each width, and how much its loss counts (equally, if nil).
  public let sizeScores: [String: FixtureArray]?
  public let sizeWeights: [Float]?

  private enum CodingKeys: String, CodingKey {
    case name, configuration, parameters, features, examples, hidden, loss, gradients, histories
    case scores
    case sizeScores = "size_scores"
    case sizeWeights = "size_weights"
  }

  public var testDescription: String { name }

  /// The model of this case, with its weights.
  public func model() throws -> any SequentialModel {
    let made = try makeModel(json: try JSONEncoder().encode(configuration))
    guard let model = made as? any SequentialModel else {
      throw FixtureError("\(name) is not trained by gradients")
    }
    try take(parameters, into: model, of: name)
    if let features { try give(features, to: model) }
    return model
  }

  /// The widths of a nested model, nil for others.
  public func widths(of model: any SequentialModel) -> NestedWidths? {
    guard let sizes = (model as? any NestedModel)?.sizes else { return nil }
    let equal = sizes.map { _ in 1 / Float(sizes.count) }
    return NestedWidths(sizes: sizes, weights: sizeWeights ?? equal)
  }

  /// What the model reads of the histories.
  public func newest(for model: any SequentialModel) -> PackedBatch {
    PackedBatch(items: histories.items, offsets: histories.offsets, users: histories.users)
      .newest(model.maximalLength)
  }

  private func give(_ features: [Feature], to model: any SequentialModel) throws {
    guard let model = model as? any FeatureModel, model.features.count == features.count else {
      throw FixtureError("\(name) has other features")
    }
    for (own, feature) in zip(model.features, features) {
      if let own = own as? CategoryFeature, let values = feature.values,
        let offsets = feature.offsets
      {
        own.set(Histories(ModelCase.Rows(items: values, offsets: offsets).rows))
      } else if let own = own as? VectorFeature, let vectors = feature.vectors {
        try vectors.floats.withUnsafeBufferPointer { try own.set($0) }
      } else {
        throw FixtureError("\(name) has features of another kind")
      }
    }
  }

  /// The states at `examples.rows`.
  public func states(of model: any SequentialModel, on pass: Pass) -> Tensor {
    let batch = PackedBatch(
      items: examples.items, offsets: examples.offsets, users: examples.users)
    if let masked = model as? any MaskedModel {
      return gather(masked.encodeMasked(batch, on: pass), rows: examples.rows, on: pass)
    }
    if model.isCausal, let causal = model as? any CausalModel {
      return gather(causal.encode(batch, on: pass), rows: examples.rows, on: pass)
    }
    return model.encodeLast(batch, on: pass)
  }
}
