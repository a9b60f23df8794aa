public import Autograd
public import Interactions
public import Kernels
public import Layers

/// Scores the next item of a history with linear recurrences, which read it item by item at a cost
/// that does not depend on its length.
///
/// Yue et al., "Linear Recurrent Units for Sequential Recommendation", WSDM 2024.
public struct LRURec: StreamingModel {
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
    embeddingNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
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
    var x = embed(batch.items, on: pass)
    for block in blocks { x = block(x, batch, on: pass) }
    return x
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    guard pass.tape == nil, let final = blocks.last else {
      return gather(encode(batch, on: pass), rows: batch.lastTokens, on: pass)
    }
    var x = embed(batch.items, on: pass)
    for block in blocks.dropLast() { x = block(x, batch, on: pass) }
    return final.last(x, batch, on: pass)
  }

  public var stateSize: Int? { blocks.reduce(0) { $0 + $1.recurrence.stateSize } }

  public func advance(_ states: Matrix, by items: [Int32]) -> Tensor {
    var x = embed(items, on: .inference)
    var column = 0
    for block in blocks {
      let size = block.recurrence.stateSize
      x = block.advance(states.block(column: column, rows: states.rows, columns: size), by: x)
      column += size
    }
    return x
  }

  private func embed(_ items: [Int32], on pass: Pass) -> Tensor {
    let x = gather(itemEmbedding.value, rows: items, on: pass)  // [tokens, dim]
    return embeddingNorm(
      dropout(x, probability: configuration.dropout, on: pass), on: pass)
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    let n = min(max(length, 1), c.maxLength)
    // B and the recurrence, whose gamma b + lambda h is six products of real numbers.
    let states = 2 * c.stateDim * c.dim + 6 * c.stateDim
    let maps = 2 * c.stateDim * c.dim + 2 * c.dim * c.innerDim
    // The last block maps its last state alone.
    let last = c.blocks > 0 ? n * states + maps : 0
    return Cost(
      parameters: parameterCount, macs: max(0, c.blocks - 1) * n * (states + maps) + last)
  }

  /// A recurrence, then a feed-forward map, each with a residual and a norm after it.
  struct Block: Module {
    let recurrence: LinearRecurrence
    let recurrenceNorm: LayerNorm
    let feedForward: FeedForward
    let feedForwardNorm: LayerNorm
    let dropout: Float
    let recurrenceDropout: Float

    init(_ c: Configuration, using initializer: inout Initializer) {
      recurrence = LinearRecurrence(
        dim: c.dim, channels: c.stateDim, ring: c.ring, using: &initializer)
      recurrenceNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
      feedForward = FeedForward(
        dim: c.dim, innerDim: c.innerDim, activation: .gelu, innerDropout: c.dropout,
        using: &initializer)
      feedForwardNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
      dropout = c.dropout
      recurrenceDropout = c.recurrenceDropout
    }

    /// - Shapes: `x` and the result are `[tokens, dim]`.
    func callAsFunction(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
      finish(x, recurrence(x, batch, on: pass), on: pass)
    }

    /// The same for the last position of each history alone.
    ///
    /// - Shapes: `x` is `[tokens, dim]`, the result is `[histories, dim]`.
    func last(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
      finish(
        gather(x, rows: batch.lastTokens, on: pass), recurrence.last(x, batch, on: pass), on: pass)
    }

    /// - Shapes: `x` and the result are `[people, dim]`.
    func advance(_ states: Matrix, by x: Tensor) -> Tensor {
      finish(x, recurrence.advance(states, by: x), on: .inference)
    }

    /// What follows the recurrence, on any rows.
    private func finish(_ x: Tensor, _ mixed: Tensor, on pass: Pass) -> Tensor {
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
    ring.inner = try fields.number("ring_min", default: ring.inner, from: 0, to: 1)
    ring.outer = try fields.number(
      "ring_max", default: ring.outer, from: 0, to: 1, isClosed: true)
    try require(
      ring.inner < ring.outer,
      "ring_min must be below ring_max, got \(ring.inner) and \(ring.outer)")
    ring.maximalPhase = try fields.number("max_phase", default: ring.maximalPhase, from: 0)
    try require(ring.maximalPhase > 0, "max_phase must be above 0, got 0")
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  var weightCount: Int {
    let perBlock = 4 * dim * stateDim + 5 * stateDim + 2 * dim * innerDim + innerDim + 6 * dim
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
      "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
