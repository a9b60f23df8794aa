public import Autograd
import Interactions
public import Layers
public import VectorLoops

/// A model that reads what is known about items.
public protocol FeatureModel: Recommender {
  /// In the order of the configuration.
  var features: [any ItemFeature] { get }
}

/// The settings that SASRecF and FDSA share.
public struct FeatureSettings: Sendable {
  /// What the configuration says of a feature.
  public enum Feature: Sendable, Equatable {
    /// Each item has none, one or several of so many values.
    case categories(values: Int)
    /// Each item has a vector of so many numbers.
    case vectors(width: Int)
  }

  public var items: Int
  public var features: [Feature]
  /// How several values of one item become one vector.
  public var pooling: Pooling
  public var dim = 64
  public var innerDim = 256
  public var blocks = 2
  public var heads = 2
  public var maxLength = 50
  public var attention = AttentionOption.softmax
  public var dropout: Float = 0.5
  public var attentionDropout: Float = 0.5
  public var innerDropout: Float = 0
  public var activation = Activation.gelu
  public var normEpsilon: Float = 1e-12
  public var initialStd: Float = 0.02
  public var seed: UInt64 = 0

  public init(items: Int, features: [Feature], pooling: Pooling) {
    self.items = items
    self.features = features
    self.pooling = pooling
  }

  var block: TransformerBlock.Configuration {
    var block = TransformerBlock.Configuration(
      dim: dim, innerDim: innerDim, heads: heads, maximalLength: maxLength)
    block.attention = attention.kind
    (block.dropout, block.attentionDropout, block.innerDropout) =
      (dropout, attentionDropout, innerDropout)
    (block.activation, block.normEpsilon) = (activation, normEpsilon)
    return block
  }

  /// What the blocks run on for some histories.
  func input(_ batch: PackedBatch) -> BlockInput {
    attention.input(batch, items: items, maximalLength: maxLength)
  }

  func paddedLength(_ length: Int) -> Int {
    attention.tokens(length: length, maximalLength: maxLength)
  }

  func makeFeatures(using initializer: inout Initializer) -> [any ItemFeature] {
    features.map { feature in
      switch feature {
      case .categories(let values):
        return CategoryFeature(
          items: items, values: values, dim: dim, pooling: pooling, using: &initializer)
      case .vectors(let width):
        return VectorFeature(items: items, width: width, dim: dim, using: &initializer)
      }
    }
  }

  /// The numbers that the tables of items, positions and features hold.
  var tableWeights: Int {
    features.reduce((attention.tableRows(items: items) + maxLength) * dim) { sum, feature in
      switch feature {
      case .categories(let values): return sum + values * dim
      case .vectors(let width): return sum + (width + 1) * dim
      }
    }
  }
}

extension FeatureSettings {
  /// Reads the fields of a JSON object, named in snake case.
  init(_ fields: inout Fields, pooling: Pooling) throws(InvalidArgument) {
    self.init(
      items: try fields.integer("items", in: 1...Int(Int32.max)), features: [], pooling: pooling)
    for var object in try fields.objects("features") {
      features.append(try Feature(&object))
      try object.finish()
    }
    try require(
      (1...1024).contains(features.count), "features must be 1 ... 1024, got \(features.count)")
    self.pooling = try fields.choice("pooling", default: pooling)
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    innerDim = try fields.integer("inner_dim", default: innerDim, in: 1...1_048_576)
    blocks = try fields.integer("blocks", default: blocks, in: 0...1024)
    heads = try fields.heads(default: heads, dividing: dim)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    attention = try fields.choice("attention", default: attention)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    attentionDropout = try fields.float(
      "attention_dropout", default: attentionDropout, from: 0, to: 1)
    innerDropout = try fields.float("inner_dropout", default: innerDropout, from: 0, to: 1)
    activation = try fields.activation(default: activation)
    normEpsilon = try fields.float("norm_epsilon", default: normEpsilon, from: 0, to: 1)
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  /// The JSON object that makes the same model again.
  func json(model: String) -> String {
    """
    {"model": "\(model)", "items": \(items), \
    "features": [\(features.map(\.json).joined(separator: ", "))], \
    "pooling": "\(pooling.rawValue)", "dim": \(dim), "inner_dim": \(innerDim), \
    "blocks": \(blocks), "heads": \(heads), "max_length": \(maxLength), \
    "attention": "\(attention.rawValue)", "dropout": \(dropout), \
    "attention_dropout": \(attentionDropout), "inner_dropout": \(innerDropout), \
    "activation": "\(activation.rawValue)", "norm_epsilon": \(normEpsilon), \
    "initial_std": \(initialStd), "seed": \(seed)}
    """
  }
}

extension FeatureSettings.Feature {
  private enum Kind: String, CaseIterable { case categories, vectors }

  init(_ fields: inout Fields) throws(InvalidArgument) {
    switch try fields.choice("kind", default: Kind.categories) {
    case .categories:
      self = .categories(values: try fields.integer("values", in: 1...Int(Int32.max)))
    case .vectors: self = .vectors(width: try fields.integer("width", in: 1...1_048_576))
    }
  }

  fileprivate var json: String {
    switch self {
    case .categories(let values): return "{\"kind\": \"categories\", \"values\": \(values)}"
    case .vectors(let width): return "{\"kind\": \"vectors\", \"width\": \(width)}"
    }
  }
}
