public import Autograd
public import Interactions
import Layers

/// Scores the next item of a history with many blocks of causal self-attention, whose residuals have
/// trained weights that start at zero.
///
/// A backbone of SkipRec: Chen et al., "A User-Adaptive Layer Selection Framework for Very Deep
/// Sequential Recommender Models", AAAI 2021, after Kang and McAuley, "Self-Attentive Sequential
/// Recommendation", ICDM 2018.
public struct SASRecPlus: CausalModel {
  public struct Configuration: Sendable {
    public var items: Int
    public var dim = 64
    public var blocks = 8
    public var heads = 2
    public var maxLength = 50
    /// Of the attention's probabilities and of both feed-forward maps.
    public var dropout: Float = 0.2
    public var normEpsilon: Float = 1e-8
    /// Whether a norm follows the last block, so that states have one scale whatever is skipped.
    public var finalNorm = true
    public var initialStd: Float = 0.01
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items, dim]
  let positionEmbedding: Parameter  // [maxLength, dim]
  let blocks: [Block]
  let finalNorm: LayerNorm?
  let outputEmbedding: Parameter  // [items, dim]
  let outputBias: Parameter  // [items]

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = Parameter(shape: [c.items, c.dim])
    positionEmbedding = Parameter(shape: [c.maxLength, c.dim])
    initializer.truncatedNormal(itemEmbedding)
    initializer.truncatedNormal(positionEmbedding)
    blocks = (0..<c.blocks).map { _ in Block(c, using: &initializer) }
    finalNorm = c.finalNorm ? LayerNorm(c.dim, epsilon: c.normEpsilon) : nil
    outputEmbedding = Parameter(shape: [c.items, c.dim])
    initializer.normal(outputEmbedding)
    outputBias = Parameter(shape: [c.items])
    outputBias.fill(0.1)
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(table: outputEmbedding.value, bias: outputBias.value)
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let x = blocks.reduce(embed(batch, on: pass)) { $1($0, batch, on: pass) }
    return finalNorm?(x, on: pass) ?? x
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    guard pass.tape == nil, let block = blocks.last else {
      return gather(encode(batch, on: pass), rows: batch.lastTokens, on: pass)
    }
    let x = blocks.dropLast().reduce(embed(batch, on: pass)) { $1($0, batch, on: pass) }
    let newest = block.last(x, batch, on: pass)
    return finalNorm?(newest, on: pass) ?? newest
  }

  private func embed(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    add(
      gather(itemEmbedding.value, rows: batch.items, on: pass),
      gather(positionEmbedding.value, rows: batch.positions, on: pass), on: pass)
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    let n = min(max(length, 1), c.maxLength)
    let block = n * 5 * c.dim * c.dim + 2 * n * n * c.dim
    // The last block: keys and values of all positions, the rest of the last one alone.
    let last = n * 2 * c.dim * c.dim + 3 * c.dim * c.dim + 2 * n * c.dim
    return Cost(
      parameters: parameterCount, macs: c.blocks > 0 ? (c.blocks - 1) * block + last : 0)
  }

  /// Attention without an output map, then a feed-forward map. Both residuals start from a norm.
  struct Block: Module {
    let inputNorm: LayerNorm
    /// Rows: all queries, all keys, all values.
    let qkv: Linear
    let feedForwardNorm: LayerNorm
    let expand: Linear
    let contract: Linear
    let outputNorm: LayerNorm
    let attentionWeight: Parameter  // [1]
    let feedForwardWeight: Parameter  // [1]
    let dim: Int
    let heads: Int
    let maximalLength: Int
    let dropout: Float

    init(_ c: Configuration, using initializer: inout Initializer) {
      inputNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
      qkv = Linear(c.dim, 3 * c.dim, using: &initializer)
      feedForwardNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
      expand = Linear(c.dim, c.dim, using: &initializer)
      contract = Linear(c.dim, c.dim, using: &initializer)
      outputNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
      for map in [qkv, expand, contract] {
        // Glorot and Bengio's bound (2010) for each map from dim to dim.
        initializer.uniform(map.weight, bound: (3 / Float(c.dim)).squareRoot())
      }
      attentionWeight = Parameter(shape: [1])
      feedForwardWeight = Parameter(shape: [1])
      (dim, heads, maximalLength, dropout) = (c.dim, c.heads, c.maxLength, c.dropout)
    }

    /// - Shapes: `x` and the result are `[tokens, dim]`.
    func callAsFunction(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
      let u = inputNorm(x, on: pass)
      let all = qkv(u, on: pass)  // [tokens, 3 dim]
      let mixed = softmaxAttention(
        query: all.block(columns: 0..<dim), key: all.block(columns: dim..<(2 * dim)),
        value: all.block(columns: (2 * dim)..<(3 * dim)), heads: heads, offsets: batch.offsets,
        dropout: dropout, maximalLength: maximalLength, on: pass)
      return finish(u, mixed, on: pass)
    }

    /// The same for the last position of each history alone, for inference.
    ///
    /// - Shapes: `x` is `[tokens, dim]`, the result is `[histories, dim]`.
    func last(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
      let u = inputNorm(x, on: pass)
      let newest = gather(u, rows: batch.lastTokens, on: pass)
      let query = qkv(newest, outputs: 0..<dim, on: pass)
      let kv = qkv(u, outputs: dim..<(3 * dim), on: pass)  // [tokens, 2 dim]
      let mixed = lastSoftmaxAttention(
        query: query, key: kv.block(columns: 0..<dim), value: kv.block(columns: dim..<(2 * dim)),
        heads: heads, offsets: batch.offsets, maximalLength: maximalLength)
      return finish(newest, mixed, on: pass)
    }

    /// What follows the attention, on any rows.
    private func finish(_ u: Tensor, _ mixed: Tensor, on pass: Pass) -> Tensor {
      let m = residual(u, mixed, weight: attentionWeight.value, on: pass)
      let v = feedForwardNorm(m, on: pass)
      let inner = expand(v, activation: .relu, dropout: dropout, on: pass)
      let f = residual(
        v, contract(inner, dropout: dropout, on: pass), weight: feedForwardWeight.value, on: pass)
      return outputNorm(f, on: pass)
    }
  }
}

extension SASRecPlus.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    blocks = try fields.integer("blocks", default: blocks, in: 0...1024)
    heads = try fields.heads(default: heads, dividing: dim)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    normEpsilon = try fields.float("norm_epsilon", default: normEpsilon, from: 0, to: 1)
    finalNorm = try fields.flag("final_norm", default: finalNorm)
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  var weightCount: Int {
    (2 * items + maxLength) * dim + items + blocks * (5 * dim * dim + 11 * dim + 2)
      + (finalNorm ? 2 * dim : 0)
  }
}

extension SASRecPlus {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "sasrec_plus", "items": \(c.items), "dim": \(c.dim), "blocks": \(c.blocks), \
      "heads": \(c.heads), "max_length": \(c.maxLength), "dropout": \(c.dropout), \
      "norm_epsilon": \(c.normEpsilon), "final_norm": \(c.finalNorm), \
      "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
