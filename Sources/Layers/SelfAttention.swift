public import Autograd
import Glibc
public import Interactions
import Kernels

/// What a position takes from its history.
public enum AttentionKind: Sendable {
  /// A softmax over itself and what came before (Vaswani et al., 2017).
  case softmax
  /// A softmax over the whole history.
  case full
  /// Linear attention over the whole history; see `PackedLinearAttention`.
  case linear
  /// Linear attention over itself and what came before.
  case linearCausal
  /// The same with heads that decay, each at its own learned rate.
  case linearDecayed

  /// Whether positions see nothing of what comes after them.
  public var isCausal: Bool { self == .softmax || streams }

  /// Whether the cost grows with the length of a history rather than its square.
  public var isLinear: Bool { self == .linear || streams }

  /// Whether a past can be kept as a state of fixed size.
  public var streams: Bool { self == .linearCausal || self == .linearDecayed }
}

/// Multi-head self-attention over packed histories (Vaswani et al., 2017), with an output map.
public struct SelfAttention: Module {
  /// Rows: all queries, all keys, all values; head h owns `dim / heads` of each.
  let qkv: any LinearMap
  let output: any LinearMap
  /// The logarithms of the rates that heads decay at, `[heads]`.
  let decayLog: Parameter?
  let kind: AttentionKind
  let heads: Int
  let dim: Int
  let dropout: Float
  let maximalLength: Int

  /// - Parameters:
  ///   - dropout: of the softmax's probabilities; linear attention has none.
  ///   - sizes: of a nested model, multiples of `dim / heads`, so that each head is in one chunk.
  public init(
    _ kind: AttentionKind, dim: Int, heads: Int, dropout: Float, maximalLength: Int,
    sizes: [Int]? = nil, using initializer: inout Initializer
  ) {
    qkv = linearMap(dim, 3 * dim, outputPlanes: 3, sizes: sizes, using: &initializer)
    output = linearMap(dim, dim, sizes: sizes, using: &initializer)
    decayLog = kind == .linearDecayed ? Parameter(shape: [heads]) : nil
    if let decayLog {
      // From 1/2 to 1/512, even in the logarithm: memories of one item and of long histories. By steps
      // of the golden section, so that the first heads, which are all that a smaller model inside
      // has, are spread like all of them.
      for h in 0..<heads {
        let place = (Double(h + 1) * 0.618_033_988_749_895).truncatingRemainder(dividingBy: 1)
        decayLog.value.pointer[h] = Float(-log(2) * (1 + 8 * place))
      }
    }
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
    let (k, v) = keysAndValues(keys, on: pass)
    return attend(qkv(queries, outputs: 0..<dim, on: pass), k, v, batch, on: pass)
  }

  /// The result at the last position of each history alone, for inference.
  ///
  /// - Shapes: `queries` and the result are `[histories, dim]`, `keys` is `[tokens, dim]`.
  public func last(queries: Tensor, keys: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    let q = qkv(queries, outputs: 0..<dim, on: pass)
    let (k, v) = keysAndValues(keys, on: pass)
    guard kind.isLinear else {
      let mixed = lastSoftmaxAttention(
        query: q, key: k, value: v, heads: heads, offsets: batch.offsets,
        maximalLength: maximalLength)
      return output(mixed, on: pass)
    }
    let mixed = Tensor(shape: queries.shape)
    PackedLinearAttention(
      heads: heads, dim: dim, offsets: batch.offsets, isCausal: kind.isCausal, rates: rates
    ).forwardLast(
      q: UnitELU(of: q.matrix, heads: heads), k: UnitELU(of: k.matrix, heads: heads),
      v: v.matrix, into: mixed.matrix)
    return output(mixed, on: pass)
  }

  /// The floats of one person's state in causal linear attention: sums of k v^T for each head.
  var stateSize: Int { dim * dim / heads }

  /// Takes one more token of each person into the states of causal linear attention, in place.
  ///
  /// - Shapes: `queries`, `keys` and the result are `[people, dim]`, `states` is `[people,
  ///   stateSize]`.
  func advance(_ states: Matrix, queries: Tensor, keys: Tensor, on pass: Pass) -> Tensor {
    precondition(kind.streams, "only causal linear attention has states")
    let q = qkv(queries, outputs: 0..<dim, on: pass)
    let (k, v) = keysAndValues(keys, on: pass)
    let mixed = Tensor(shape: queries.shape)
    PackedLinearAttention.advance(
      states, heads: heads, rates: rates, q: UnitELU(of: q.matrix, heads: heads),
      k: UnitELU(of: k.matrix, heads: heads), v: v.matrix, into: mixed.matrix)
    return output(mixed, on: pass)
  }

  /// What heads decay at, a number for each; none without decay.
  private var rates: [Float] {
    PackedLinearAttention.rates(ofLogs: decayLog?.value.values ?? [])
  }

  private func keysAndValues(_ x: Tensor, on pass: Pass) -> (k: Tensor, v: Tensor) {
    let kv = qkv(x, outputs: dim..<(3 * dim), on: pass)  // [tokens, 2 dim]
    return (kv.block(columns: 0..<dim), kv.block(columns: dim..<(2 * dim)))
  }

  private func attend(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, _ batch: PackedBatch, on pass: Pass
  ) -> Tensor {
    let mixed =
      kind.isLinear
      ? linearAttention(
        query: q, key: k, value: v, decayLog: decayLog?.value, heads: heads,
        offsets: batch.offsets, isCausal: kind.isCausal, on: pass)
      : softmaxAttention(
        query: q, key: k, value: v, heads: heads, offsets: batch.offsets, isCausal: kind.isCausal,
        dropout: dropout, maximalLength: maximalLength, on: pass)
    return output(mixed, on: pass)
  }
}
