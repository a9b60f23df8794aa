public import Autograd
public import Interactions
public import Kernels
public import Layers

/// Scores the next item of a history with linear recurrences, which read it item by item at a cost
/// that does not depend on its length.
///
/// Yue et al., "Linear Recurrent Units for Sequential Recommendation", WSDM 2024.
public struct LRURec: StreamingModel, NestedModel {
  public struct Configuration: Sendable {
    public var items: Int
    public var dim = 64
    /// Complex numbers in the state of a block.
    public var stateDim = 128
    public var innerDim = 256
    public var blocks = 2
    public var maxLength = 50
    /// Of the embeddings and the feed-forward maps.
    public var dropout: Float = 0.2
    /// Of the recurrences' results.
    public var recurrenceDropout: Float = 0.2
    public var normEpsilon: Float = 1e-5
    public var ring = LinearRecurrence.Ring(inner: 0.8, outer: 0.99, maximalPhase: 2 * .pi)
    public var initialStd: Float = 0.02
    /// The widths of the models inside, ascending to `dim`; `stateDim` and `innerDim` are multiples
    /// of it then.
    public var nestedSizes: [Int]?
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items, dim]
  let embeddingNorm: LayerNorm
  let blocks: [Block]
  let outputBias: Parameter  // [items]

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = Parameter(shape: [c.items, c.dim])
    embeddingNorm = LayerNorm(c.dim, epsilon: c.normEpsilon, sizes: c.nestedSizes)
    blocks = (0..<c.blocks).map { _ in Block(c, using: &initializer) }
    outputBias = Parameter(shape: [c.items])
    // All but the norms and the eigenvalues, biases too, as in the authors' code.
    for parameter in parameters()
    where !parameter.name.contains("norm") && !parameter.name.hasSuffix("_log") {
      initializer.truncatedNormal(parameter.parameter)
    }
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(table: itemEmbedding.value, bias: outputBias.value)
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    blocks.encode(embed(batch.items, on: pass), batch, on: pass)
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    blocks.encodeLast(embed(batch.items, on: pass), batch, on: pass)
  }

  public var stateSize: Int? { blocks.stateSize }

  public func advance(_ states: Matrix, by items: [Int32]) -> Tensor {
    blocks.advance(states, by: embed(items, on: .inference))
  }

  public var sizes: [Int]? { configuration.nestedSizes }

  public func slice(size: Int, keepsFeatures: Bool) throws -> any SequentialModel {
    var c = configuration
    c.nestedSizes = try require(size: size)
    (c.dim, c.stateDim, c.innerDim) = (size, c.stateDim / c.dim * size, c.innerDim / c.dim * size)
    let small = LRURec(c)
    copyPrefixes(to: small)
    return small
  }

  public func stateParts(of size: Int) -> [(whole: Int, kept: Int)] {
    blocks.stateParts(of: size, dim: configuration.dim)
  }

  private func embed(_ items: [Int32], on pass: Pass) -> Tensor {
    let x = gather(itemEmbedding.value, rows: items, on: pass)  // [tokens, dim]
    return embeddingNorm(
      dropout(x, probability: configuration.dropout, on: pass), on: pass)
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    return Cost(
      parameters: parameterCount,
      macs: blocks.macs(
        length: min(max(length, 1), c.maxLength), dim: c.dim, channels: c.stateDim,
        afterwards: 2 * linearProducts(c.dim, c.innerDim, sizes: c.nestedSizes),
        sizes: c.nestedSizes))
  }

  /// A recurrence, then a feed-forward map, each with a residual and a norm after it.
  struct Block: RecurrentBlock {
    let recurrence: LinearRecurrence
    let recurrenceNorm: LayerNorm
    let feedForward: FeedForward
    let feedForwardNorm: LayerNorm
    let dropout: Float
    let recurrenceDropout: Float

    init(_ c: Configuration, using initializer: inout Initializer) {
      recurrence = LinearRecurrence(
        dim: c.dim, channels: c.stateDim, ring: c.ring, sizes: c.nestedSizes, using: &initializer)
      recurrenceNorm = LayerNorm(c.dim, epsilon: c.normEpsilon, sizes: c.nestedSizes)
      feedForward = FeedForward(
        dim: c.dim, innerDim: c.innerDim, activation: .gelu, innerDropout: c.dropout,
        sizes: c.nestedSizes, using: &initializer)
      feedForwardNorm = LayerNorm(c.dim, epsilon: c.normEpsilon, sizes: c.nestedSizes)
      dropout = c.dropout
      recurrenceDropout = c.recurrenceDropout
    }

    func input(_ x: Tensor, on pass: Pass) -> Tensor { x }

    func finish(_ x: Tensor, _ mixed: Tensor, on pass: Pass) -> Tensor {
      let s = recurrenceNorm(residual(x, mixed, dropout: recurrenceDropout, on: pass), on: pass)
      return feedForwardNorm(
        residual(s, feedForward(s, on: pass), dropout: dropout, on: pass), on: pass)
    }
  }
}

extension LRURec.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    stateDim = try fields.integer("state_dim", default: stateDim, in: 1...1_048_576)
    innerDim = try fields.integer("inner_dim", default: innerDim, in: 1...1_048_576)
    blocks = try fields.integer("blocks", default: blocks, in: 0...1024)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    recurrenceDropout = try fields.float("recurrence_dropout", default: dropout, from: 0, to: 1)
    normEpsilon = try fields.float("norm_epsilon", default: normEpsilon, from: 0, to: 1)
    ring = try fields.ring(default: ring)
    nestedSizes = try fields.nestedSizes(
      dim: dim, multiples: ["state_dim": stateDim, "inner_dim": innerDim])
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  var weightCount: Int {
    let products =
      4 * linearProducts(dim, stateDim, sizes: nestedSizes)
      + 2 * linearProducts(dim, innerDim, sizes: nestedSizes)
    let perBlock = products + 5 * stateDim + innerDim + 6 * dim
    return items * (dim + 1) + blocks * perBlock + 2 * dim
  }
}

extension LRURec {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "lrurec", "items": \(c.items), "dim": \(c.dim), "state_dim": \(c.stateDim), \
      "inner_dim": \(c.innerDim), "blocks": \(c.blocks), "max_length": \(c.maxLength), \
      "dropout": \(c.dropout), "recurrence_dropout": \(c.recurrenceDropout), \
      "norm_epsilon": \(c.normEpsilon), "ring_min": \(c.ring.inner), \
      "ring_max": \(c.ring.outer), "max_phase": \(c.ring.maximalPhase), \
      "nested_sizes": \(c.nestedSizes ?? []), \
      "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
