public import Autograd
public import Interactions
public import Kernels
public import VectorLoops

/// Attention, then a feed-forward map, each with a residual (Vaswani et al., 2017).
public struct TransformerBlock: Module {
  /// Where the layer norms stand.
  public enum Norm: String, Sendable, CaseIterable {
    /// After each residual sum (RecBole).
    case post
    /// Before each map, and once at the end of the model.
    case pre
    /// Before the queries alone, whose normalised form is the residual, and once at the end of the
    /// model (the code of SASRec's authors).
    case query
  }

  public struct Configuration: Sendable {
    public var dim: Int
    public var innerDim: Int
    public var heads: Int
    /// At least the length of every history.
    public var maximalLength: Int
    public var attention = AttentionKind.softmax
    /// Of both residuals.
    public var dropout: Float = 0
    /// Of the softmax's probabilities.
    public var attentionDropout: Float = 0
    public var innerDropout: Float = 0
    public var norm = Norm.post
    public var activation = Activation.gelu
    public var normEpsilon: Float = 1e-12
    /// The widths of a nested model: multiples of `dim / heads`, the last is `dim`, and `innerDim`
    /// is a multiple of it.
    public var sizes: [Int]?

    public init(dim: Int, innerDim: Int, heads: Int, maximalLength: Int) {
      self.dim = dim
      self.innerDim = innerDim
      self.heads = heads
      self.maximalLength = maximalLength
    }
  }

  let attentionNorm: LayerNorm
  let attention: SelfAttention
  let feedForwardNorm: LayerNorm
  let feedForward: FeedForward
  let norm: Norm
  let dropout: Float

  public init(_ c: Configuration, using initializer: inout Initializer) {
    attentionNorm = LayerNorm(c.dim, epsilon: c.normEpsilon, sizes: c.sizes)
    attention = SelfAttention(
      c.attention, dim: c.dim, heads: c.heads, dropout: c.attentionDropout,
      maximalLength: c.maximalLength, sizes: c.sizes, using: &initializer)
    feedForwardNorm = LayerNorm(c.dim, epsilon: c.normEpsilon, sizes: c.sizes)
    feedForward = FeedForward(
      dim: c.dim, innerDim: c.innerDim, activation: c.activation, innerDropout: c.innerDropout,
      sizes: c.sizes, using: &initializer)
    norm = c.norm
    dropout = c.dropout
  }

  /// - Shapes: `x` and the result are `[tokens, dim]`.
  public func callAsFunction(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    switch norm {
    case .post:
      return finish(x, attention(x, batch, on: pass), on: pass)
    case .pre:
      return finish(x, attention(attentionNorm(x, on: pass), batch, on: pass), on: pass)
    case .query:
      let q = attentionNorm(x, on: pass)
      return finish(q, attention(queries: q, keys: x, batch, on: pass), on: pass)
    }
  }

  /// The same for one position of each history alone, for inference; it sees the whole history.
  ///
  /// - Shapes: `x` is `[tokens, dim]`, the result is `[histories, dim]`.
  func last(_ x: Tensor, _ batch: PackedBatch, rows: [Int32], on pass: Pass) -> Tensor {
    let keys = norm == .pre ? attentionNorm(x, on: pass) : x
    let newest = gather(x, rows: rows, on: pass)
    let queries = norm == .post ? newest : attentionNorm(newest, on: pass)
    let mixed = attention.last(queries: queries, keys: keys, batch, on: pass)
    return finish(norm == .query ? queries : newest, mixed, on: pass)
  }

  /// The floats of one person's state in causal linear attention.
  var stateSize: Int { attention.stateSize }

  /// The states after one more token of each person, with causal linear attention.
  ///
  /// - Shapes: `x` and the result are `[people, dim]`, `states` is `[people, stateSize]` and is
  ///   advanced in place.
  func advance(_ states: Matrix, by x: Tensor, on pass: Pass) -> Tensor {
    let keys = norm == .post ? x : attentionNorm(x, on: pass)
    let mixed = attention.advance(
      states, queries: keys, keys: norm == .query ? x : keys, on: pass)
    return finish(norm == .query ? keys : x, mixed, on: pass)
  }

  /// What follows the attention, on any rows.
  private func finish(_ x: Tensor, _ mixed: Tensor, on pass: Pass) -> Tensor {
    let s = residual(x, mixed, dropout: dropout, on: pass)
    switch norm {
    case .post:
      let s = attentionNorm(s, on: pass)
      return feedForwardNorm(
        residual(s, feedForward(s, on: pass), dropout: dropout, on: pass), on: pass)
    case .pre:
      let z = feedForwardNorm(s, on: pass)
      return residual(s, feedForward(z, on: pass), dropout: dropout, on: pass)
    case .query:
      let z = feedForwardNorm(s, on: pass)
      return residual(z, feedForward(z, on: pass), dropout: dropout, on: pass)
    }
  }
}

extension [TransformerBlock] {
  /// The states after each token.
  ///
  /// - Shapes: `x` and the result are `[tokens, dim]`.
  public func encode(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    reduce(x) { $1($0, batch, on: pass) }
  }

  /// The states of one token of each history, its last unless `rows` says otherwise. Where the pass
  /// records nothing, the last block computes no other queries and feed-forward maps than theirs.
  ///
  /// - Shapes: `x` is `[tokens, dim]`, the result is `[histories, dim]`.
  public func encodeLast(
    _ x: Tensor, _ batch: PackedBatch, rows: [Int32]? = nil, on pass: Pass
  ) -> Tensor {
    let rows = rows ?? batch.lastTokens
    guard pass.tape == nil, let block = last else {
      return gather(encode(x, batch, on: pass), rows: rows, on: pass)
    }
    let before = Array(dropLast()).encode(x, batch, on: pass)
    return block.last(before, batch, rows: rows, on: pass)
  }

  /// The floats of one person's state in all blocks, with causal linear attention.
  public var stateSize: Int { reduce(0) { $0 + $1.stateSize } }

  /// The states after one more token of each person.
  ///
  /// - Shapes: `x` and the result are `[people, dim]`, `states` is `[people, stateSize]` and is
  ///   advanced in place.
  public func advance(_ states: Matrix, by x: Tensor, on pass: Pass) -> Tensor {
    var (x, column) = (x, 0)
    for block in self {
      let own = states.block(column: column, rows: states.rows, columns: block.stateSize)
      x = block.advance(own, by: x, on: pass)
      column += block.stateSize
    }
    return x
  }
}

extension TransformerBlock.Configuration {
  /// The numbers that the weights of one block hold.
  public var weightCount: Int {
    mapProducts + innerDim + 9 * dim + (attention == .linearDecayed ? heads : 0)
  }

  /// The products of a token with the weights.
  private var mapProducts: Int { 4 * square + 2 * linearProducts(dim, innerDim, sizes: sizes) }

  private var square: Int { linearProducts(dim, dim, sizes: sizes) }

  /// Multiply-adds of one block for all of a history of `length` tokens.
  public func macs(length: Int) -> Int {
    let mixing =
      attention.isLinear
      ? PackedLinearAttention.macs(
        heads: heads, dim: dim, length: length, isCausal: attention.isCausal)
      : 2 * length * length * dim
    return length * mapProducts + mixing
  }

  /// Multiply-adds of `encodeLast` through some blocks for one history of `length` tokens.
  public func macs(blocks: Int, length: Int) -> Int {
    guard blocks > 0 else { return 0 }
    // The last block: keys and values of all positions, the rest of one alone.
    let last = length * 2 * square + mapProducts - 2 * square + 2 * length * dim
    return (blocks - 1) * macs(length: length) + last
  }
}
