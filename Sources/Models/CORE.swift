public import Autograd
public import Interactions
import Layers
public import VectorLoops

/// Scores the next item by the cosine between items and weighted averages of them, so that histories
/// and items share one space.
///
/// Hou et al., "CORE: Simple and Effective Session-based Recommendation within Consistent
/// Representation Space", SIGIR 2022. The weights after each item are a softmax over the items up to
/// it, so all positions train at once.
public struct CORE: CausalModel {
  /// Where the weights of items come from.
  public enum Variant: String, Sendable, CaseIterable {
    /// Causal self-attention.
    case trm
    /// They are equal.
    case ave
  }

  public struct Configuration: Sendable {
    public var items: Int
    public var variant = Variant.trm
    public var dim = 64
    public var innerDim = 256
    public var blocks = 2
    public var heads = 2
    public var maxLength = 50
    public var dropout: Float = 0.5
    public var attentionDropout: Float = 0.5
    /// Of the items that are averaged.
    public var sessionDropout: Float = 0.2
    /// Of the items that are scored.
    public var itemDropout: Float = 0.2
    /// What cosines are divided by.
    public var temperature: Float = 0.07
    public var normEpsilon: Float = 1e-12
    public var activation = Activation.gelu
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items, dim]
  // The rest has no use where weights are equal.
  let positionEmbedding: Parameter?  // [maxLength, dim]
  let embeddingNorm: LayerNorm?
  let blocks: [TransformerBlock]
  let score: Linear?
  private let servedTable = Computed()

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: 1)
    let isAverage = c.variant == .ave
    itemEmbedding = Parameter(shape: [c.items, c.dim])
    positionEmbedding = isAverage ? nil : Parameter(shape: [c.maxLength, c.dim])
    embeddingNorm = isAverage ? nil : LayerNorm(c.dim, epsilon: c.normEpsilon)
    blocks = (0..<(isAverage ? 0 : c.blocks)).map { _ in
      TransformerBlock(c.block, using: &initializer)
    }
    score = isAverage ? nil : Linear(c.dim, 1, using: &initializer)
    // All parameters alike, gains and biases too, as in the authors' code.
    for named in parameters() {
      initializer.uniform(named.parameter, bound: 1 / Float(c.dim).squareRoot())
    }
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }

  public func weightsChanged() { servedTable.forget() }

  public func computeTable(on pass: Pass) -> Tensor? { table(on: pass) }

  public func scorer(on pass: Pass) -> Scorer { Scorer(table: pass.table ?? table(on: pass)) }

  private func table(on pass: Pass) -> Tensor {
    func compute() -> Tensor {
      let c = configuration
      let items = dropout(itemEmbedding.value, probability: c.itemDropout, on: pass)
      return unitRows(items, scale: 1 / c.temperature, on: pass)
    }
    return pass.isInference ? servedTable(compute) : compute()
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let x = dropout(
      gather(itemEmbedding.value, rows: batch.items, on: pass),
      probability: configuration.sessionDropout, on: pass)
    let average = runningAverage(
      x, scores: scores(x, batch, on: pass), offsets: batch.offsets, on: pass)
    return unitRows(average, on: pass)
  }

  /// What the weights of items are softmaxes of, `[tokens, 1]`, or nil where they are equal.
  private func scores(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor? {
    guard let positionEmbedding, let embeddingNorm, let score else { return nil }
    let positions = gather(positionEmbedding.value, rows: batch.positions, on: pass)
    let placed = dropout(
      embeddingNorm(add(x, positions, on: pass), on: pass), probability: configuration.dropout,
      on: pass)
    return score(blocks.encode(placed, batch, on: pass), on: pass)
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    let n = min(max(length, 1), c.maxLength)
    // Each item of a history has a weight, so the last block runs at all positions too.
    let weights = c.variant == .ave ? 0 : c.blocks * c.block.macs(length: n) + n * c.dim
    return Cost(parameters: parameterCount, macs: weights + n * c.dim)
  }
}

extension CORE.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    variant = try fields.choice("variant", default: variant)
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    innerDim = try fields.integer("inner_dim", default: innerDim, in: 1...1_048_576)
    blocks = try fields.integer("blocks", default: blocks, in: 0...1024)
    // Nobody needs heads where weights are equal, so any dim will do.
    heads = try fields.heads(default: heads, dividing: variant == .trm ? dim : nil)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    attentionDropout = try fields.float(
      "attention_dropout", default: attentionDropout, from: 0, to: 1)
    sessionDropout = try fields.float("session_dropout", default: sessionDropout, from: 0, to: 1)
    itemDropout = try fields.float("item_dropout", default: itemDropout, from: 0, to: 1)
    temperature = try fields.float("temperature", default: temperature, from: 1e-6)
    normEpsilon = try fields.float("norm_epsilon", default: normEpsilon, from: 0, to: 1)
    activation = try fields.activation(default: activation)
    seed = try fields.seed("seed")
  }

  var block: TransformerBlock.Configuration {
    var block = TransformerBlock.Configuration(
      dim: dim, innerDim: innerDim, heads: heads, maximalLength: maxLength)
    (block.dropout, block.attentionDropout) = (dropout, attentionDropout)
    (block.activation, block.normEpsilon) = (activation, normEpsilon)
    return block
  }

  var weightCount: Int {
    let encoder = (maxLength + 3) * dim + 1 + blocks * block.weightCount
    return items * dim + (variant == .ave ? 0 : encoder)
  }
}

extension CORE {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "core", "items": \(c.items), "variant": "\(c.variant.rawValue)", "dim": \(c.dim), \
      "inner_dim": \(c.innerDim), "blocks": \(c.blocks), "heads": \(c.heads), \
      "max_length": \(c.maxLength), "dropout": \(c.dropout), \
      "attention_dropout": \(c.attentionDropout), "session_dropout": \(c.sessionDropout), \
      "item_dropout": \(c.itemDropout), "temperature": \(c.temperature), \
      "norm_epsilon": \(c.normEpsilon), "activation": "\(c.activation.rawValue)", \
      "seed": \(c.seed)}
      """
  }
}
