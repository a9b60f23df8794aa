public import Autograd
import Foundation
import Interactions
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
  }

  public let name: String
  public let configuration: [String: FixtureSetting]
  public let parameters: [String: FixtureArray]
  public let examples: Examples
  /// The states at `examples.rows`.
  public let hidden: FixtureArray
  /// The mean softmax cross-entropy over the rows.
  public let loss: Double
  /// With respect to every parameter that is trained.
  public let gradients: [String: FixtureArray]
  public let histories: ModelCase.Rows
  public let scores: FixtureArray

  public var testDescription: String { name }

  /// The model of this case, with its weights.
  public func model() throws -> any SequentialModel {
    let made = try makeModel(json: try JSONEncoder().encode(configuration))
    guard let model = made as? any SequentialModel else {
      throw FixtureError("\(name) is not trained by gradients")
    }
    try take(parameters, into: model, of: name)
    return model
  }

  /// The states at `examples.rows`.
  public func states(of model: any SequentialModel, on pass: Pass) -> Tensor {
    let batch = PackedBatch(items: examples.items, offsets: examples.offsets)
    if let masked = model as? any MaskedModel {
      return gather(masked.encodeMasked(batch, on: pass), rows: examples.rows, on: pass)
    }
    if model.isCausal, let causal = model as? any CausalModel {
      return gather(causal.encode(batch, on: pass), rows: examples.rows, on: pass)
    }
    return model.encodeLast(batch, on: pass)
  }
}
