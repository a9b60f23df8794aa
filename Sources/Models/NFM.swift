public import Autograd
public import Interactions
import Layers

/// Scores the next item of a history, read as a bag of items, by what pairs of them have in common.
///
/// He and Chua, "Neural Factorization Machines for Sparse Predictive Analytics", SIGIR 2017, with a
/// softmax over all items in the place of one score: a baseline of SkipRec's authors.
public struct NFM: CausalModel {
  public struct Configuration: Sendable {
    public var items: Int
    public var dim = 64
    /// The widths of the hidden layers.
    public var hidden = [64]
    /// Of the pairs' sum.
    public var dropout: Float = 0.5
    /// Of each hidden layer.
    public var hiddenDropout: Float = 0.2
    public var maxLength = 50
    /// Of the embeddings; hidden layers begin as Glorot and Bengio (2010) have them.
    public var initialStd: Float = 0.02
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items, dim]
  let inputNorm: BatchNorm
  let hidden: [Linear]
  let hiddenNorms: [BatchNorm]
  let outputEmbedding: Parameter  // [items, the last hidden width]
  let outputBias: Parameter  // [items]

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = Parameter(shape: [c.items, c.dim])
    initializer.normal(itemEmbedding)
    inputNorm = BatchNorm(c.dim)
    hidden = zip(c.widths, c.widths.dropFirst()).map { inputs, outputs in
      let map = Linear(inputs, outputs, using: &initializer)
      initializer.glorot(map.weight)
      return map
    }
    hiddenNorms = c.hidden.map { BatchNorm($0) }
    outputEmbedding = Parameter(shape: [c.items, c.stateDim])
    initializer.normal(outputEmbedding)
    outputBias = Parameter(shape: [c.items])
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }
  /// More than others take: batch norms want many rows.
  public var groupTokens: Int { 4096 }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(table: outputEmbedding.value, bias: outputBias.value)
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    finish(pairs(batch, on: pass), on: pass)
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    finish(gather(pairs(batch, on: pass), rows: batch.lastTokens, on: pass), on: pass)
  }

  /// - Shapes: the result is `[tokens, dim]`.
  private func pairs(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    biInteraction(
      gather(itemEmbedding.value, rows: batch.items, on: pass), length: configuration.maxLength,
      offsets: batch.offsets, on: pass)
  }

  /// What follows the pairs' sum, on any rows.
  private func finish(_ pairs: Tensor, on pass: Pass) -> Tensor {
    let c = configuration
    let x = dropout(inputNorm(pairs, on: pass), probability: c.dropout, on: pass)
    return zip(hidden, hiddenNorms).reduce(x) { x, layer in
      let h = activate(layer.1(layer.0(x, on: pass), on: pass), .relu, on: pass)
      return dropout(h, probability: c.hiddenDropout, on: pass)
    }
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    let n = min(max(length, 1), c.maxLength)
    let maps = zip(c.widths, c.widths.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 }
    // Each number of a norm is one product.
    return Cost(parameters: parameterCount, macs: n * c.dim + maps + c.widths.reduce(0, +))
  }
}

extension NFM.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    hidden = try fields.integers("hidden", default: hidden, in: 1...65536)
    try require(hidden.count <= 1024, "hidden must be at most 1024, got \(hidden.count)")
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    hiddenDropout = try fields.float("hidden_dropout", default: hiddenDropout, from: 0, to: 1)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  /// Of the embeddings and the hidden layers.
  var widths: [Int] { [dim] + hidden }

  var stateDim: Int { hidden.last ?? dim }

  var weightCount: Int {
    let layers = zip(widths, hidden).reduce(0) { $0 + ($1.0 + 5) * $1.1 }
    return items * (dim + stateDim + 1) + 4 * dim + layers
  }
}

extension NFM {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "nfm", "items": \(c.items), "dim": \(c.dim), "hidden": \(c.hidden), \
      "dropout": \(c.dropout), "hidden_dropout": \(c.hiddenDropout), \
      "max_length": \(c.maxLength), "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
