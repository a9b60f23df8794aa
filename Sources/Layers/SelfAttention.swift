public import Autograd
public import Interactions
import Kernels

/// What a position takes from the others of its history.
public enum AttentionKind: Sendable {
  /// A softmax over itself and what came before.
  case softmax
  /// A softmax over the whole history.
  case full
}

/// Multi-head self-attention over packed histories (Vaswani et al., 2017), with an output map.
public struct SelfAttention: Module {
  /// Rows: all queries, all keys, all values; head h owns `dim / heads` of each.
  let qkv: Linear
  let output: Linear
  let kind: AttentionKind
  let heads: Int
  let dim: Int
  let dropout: Float
  let maximalLength: Int

  public init(
    _ kind: AttentionKind, dim: Int, heads: Int, dropout: Float, maximalLength: Int,
    using initializer: inout Initializer
  ) {
    qkv = Linear(dim, 3 * dim, using: &initializer)
    output = Linear(dim, dim, using: &initializer)
    self.kind = kind
    self.heads = heads
    self.dim = dim
    self.dropout = dropout
    self.maximalLength = maximalLength
  }

  /// - Shapes: `x` and the result are `[tokens, dim]`.
  public func callAsFunction(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    let all = qkv(x, on: pass)  // [tokens, 3 dim]
    return attend(
      all.block(columns: 0..<dim), all.block(columns: dim..<(2 * dim)),
      all.block(columns: (2 * dim)..<(3 * dim)), batch, on: pass)
  }

  /// Queries from one tensor, keys and values from another.
  public func callAsFunction(
    queries: Tensor, keys: Tensor, _ batch: PackedBatch, on pass: Pass
  ) -> Tensor {
    let kv = qkv(keys, outputs: dim..<(3 * dim), on: pass)  // [tokens, 2 dim]
    return attend(
      qkv(queries, outputs: 0..<dim, on: pass), kv.block(columns: 0..<dim),
      kv.block(columns: dim..<(2 * dim)), batch, on: pass)
  }

  /// The result at the last position of each history alone, for inference.
  ///
  /// - Shapes: `queries` and the result are `[histories, dim]`, `keys` is `[tokens, dim]`.
  public func last(queries: Tensor, keys: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    let q = qkv(queries, outputs: 0..<dim, on: pass)
    let kv = qkv(keys, outputs: dim..<(3 * dim), on: pass)
    let mixed = Tensor(shape: queries.shape)
    PackedAttention(heads: heads, dim: dim, offsets: batch.offsets, maximalLength: maximalLength)
      .forwardLast(
        q: q.matrix, k: kv.block(columns: 0..<dim).matrix,
        v: kv.block(columns: dim..<(2 * dim)).matrix, into: mixed.matrix)
    return output(mixed, on: pass)
  }

  private func attend(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, _ batch: PackedBatch, on pass: Pass
  ) -> Tensor {
    let mixed = softmaxAttention(
      query: q, key: k, value: v, heads: heads, offsets: batch.offsets,
      isCausal: kind == .softmax, dropout: dropout, maximalLength: maximalLength, on: pass)
    return output(mixed, on: pass)
  }
}
