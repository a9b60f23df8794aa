import Glibc
import VectorLoops

/// Rows of queries or keys behind linear attention's map: elu(x), each head to unit length.
///
/// The squared length gets 1e-12 more, so that a head of zeros stays one.
public struct UnitELU {
  /// - Shapes: `[rows, dim]`
  public let values: Matrix
  private let inverses: Buffer  // [rows, heads]
  private let heads: Heads

  public init(of x: Matrix, heads: Int) {
    self.heads = Heads(heads, dim: x.columns)
    values = Matrix(Buffer(count: x.rows * x.columns), rows: x.rows, columns: x.columns)
    inverses = Buffer(count: x.rows * heads)
    loops.unitELU(
      x.pointer, rows: x.rows, segments: heads, width: self.heads.width, stride: x.stride,
      epsilon: 1e-12, into: values.pointer, inverses: inverses.pointer)
  }

  /// Adds the gradient with respect to x, given that with respect to `values`, without gaps.
  public func addGradient(of dy: Matrix, to dx: Matrix) {
    check(dy.isContiguous, "unitELU: a gradient with gaps")
    loops.unitELUBackward(
      y: values.pointer, inverses: inverses.pointer, dy: dy.pointer, rows: values.rows,
      segments: heads.count, width: heads.width, into: dx.pointer, stride: dx.stride)
  }
}

/// Multi-head linear attention over packed histories, whose cost grows with their length alone: o_t
/// = scale * the sum over j of (q_t . k_j) v_j, where q and k are unit rows of elu, and j runs over
/// the history, or over 0 ... t where causal.
///
/// Liu et al., "LinRec: Linear Attention Mechanism for Long-term Sequential Recommender Systems",
/// SIGIR 2023, in the form of its authors' code; padding takes no part. Where heads decay, the product
/// of q_t and k_j counts exp(-rate (t - j)) times, which is the decay of Sun et al., "Retentive
/// Network: A Successor to Transformer for Large Language Models", 2023, without the rest of theirs.
public struct PackedLinearAttention {
  let heads: Heads
  /// `offsets[s] ..< offsets[s + 1]` are the rows of history s.
  private let offsets: [Int]
  let isCausal: Bool
  /// Of each head; none where nothing decays.
  let rates: [Float]

  /// - Parameter rates: of each head, causal attention only; none where nothing decays.
  public init(heads: Int, dim: Int, offsets: [Int], isCausal: Bool, rates: [Float] = []) {
    check(
      rates.isEmpty || isCausal && rates.count == heads, "linearAttention: rates do not fit heads")
    self.heads = Heads(heads, dim: dim)
    self.offsets = offsets
    self.isCausal = isCausal
    self.rates = rates
  }

  /// The rates whose logarithms are given. None is so large that it would not be a number times 0.
  public static func rates(ofLogs logs: [Float]) -> [Float] { logs.map { min(exp($0), 1000) } }

  /// How each head decays, or does not.
  func decays() -> [Decay?] {
    rates.isEmpty
      ? Array(repeating: nil, count: heads.count)
      : rates.map { Decay(rate: $0, steps: Self.chunk) }
  }

  /// Causal attention meets the keys of its own chunk in products, earlier ones in sums of k v^T.
  private static let chunk = 64

  /// - Shapes: all are `[tokens, dim]`.
  public func forward(q: UnitELU, k: UnitELU, v: Matrix, into y: Matrix) {
    let decays = decays()
    forEachHead { _, h, rows in
      let (q, k) = (heads.part(q.values, h, rows), heads.part(k.values, h, rows))
      let (v, y) = (heads.part(v, h, rows), heads.part(y, h, rows))
      let sums = heads.square()
      if !isCausal {
        gemm(k, v, transposeA: true, into: sums)
        return gemm(q, sums, into: y, alpha: heads.scale)
      }
      let decay = decays[h]
      for chunk in chunks(of: rows.count) {
        let (q, k, v, y) = (q.rows(chunk), k.rows(chunk), v.rows(chunk), y.rows(chunk))
        let isFirst = chunk.lowerBound == 0
        let p = lowerProducts(q, k)
        decay?.apply(toLower: p)
        gemm(p, v, into: y)
        if !isFirst {
          gemm(decay?.sinceEarlier(q) ?? q, sums, into: y, alpha: heads.scale, beta: 1)
        }
        if chunk.upperBound < rows.count {
          if !isFirst { decay?.apply(to: sums, steps: chunk.count) }
          gemm(decay?.untilEnd(k) ?? k, v, transposeA: true, into: sums, beta: isFirst ? 0 : 1)
        }
      }
    }
  }

  /// What `forward` gives for the last position of each history alone.
  ///
  /// - Shapes: `q` and `y` are `[histories, dim]`, `k` and `v` are `[tokens, dim]`.
  public func forwardLast(q: UnitELU, k: UnitELU, v: Matrix, into y: Matrix) {
    y.zero()
    forEachHead { s, h, rows in
      let (q, y) = (heads.part(q.values, h, s..<(s + 1)), heads.part(y, h, s..<(s + 1)))
      let (k, v) = (heads.part(k.values, h, rows), heads.part(v, h, rows))
      let ofOneStep = rates.isEmpty ? 1 : exp(-Double(rates[h]))
      var factor = Double(heads.scale)
      for j in (0..<rows.count).reversed() where factor > Double(Decay.least) {
        let product = loops.dot(q.pointer, k.pointer + j * k.stride, count: heads.width)
        loops.accumulate(
          v.pointer + j * v.stride, alpha: Float(factor) * product, into: y.pointer,
          count: heads.width)
        factor *= ofOneStep
      }
    }
  }

  /// Takes one more token into the sums S of each person, S = exp(-rate) S + k v^T, and writes o =
  /// scale * S^T q: the causal form, token by token.
  ///
  /// - Shapes: `q`, `k`, `v` and `y` are `[people, dim]`, `states` is `[people, heads * width *
  ///   width]`.
  public static func advance(
    _ states: Matrix, heads: Int, rates: [Float] = [], q: UnitELU, k: UnitELU, v: Matrix,
    into y: Matrix
  ) {
    let heads = Heads(heads, dim: v.columns)
    let width = heads.width
    check(rates.isEmpty || rates.count == heads.count, "linearAttention: rates do not fit heads")
    let factors = rates.map { exp(-$0) }
    y.zero()
    for person in 0..<states.rows {
      for h in 0..<heads.count {
        let parts = [q.values, k.values, v, y].map { heads.part($0, h, person..<(person + 1)) }
        let sums = states.pointer + person * states.stride + h * width * width
        if !rates.isEmpty {
          loops.scale(sums, alpha: factors[h], into: sums, count: width * width)
        }
        for i in 0..<width {
          let row = sums + i * width
          loops.accumulate(parts[2].pointer, alpha: parts[1].pointer[i], into: row, count: width)
          loops.accumulate(
            row, alpha: heads.scale * parts[0].pointer[i], into: parts[3].pointer, count: width)
        }
      }
    }
  }

  /// scale * x y^T, with zeros above the diagonal.
  func lowerProducts(_ x: Matrix, _ y: Matrix) -> Matrix {
    let p = Matrix(Buffer(count: x.rows * y.rows), rows: x.rows, columns: y.rows)
    gemm(x, y, transposeB: true, into: p, alpha: heads.scale)
    for r in 0..<p.rows {
      (p.pointer + r * p.stride + r + 1).update(repeating: 0, count: p.columns - r - 1)
    }
    return p
  }

  func chunks(of length: Int) -> [Range<Int>] {
    stride(from: 0, to: length, by: Self.chunk).map { $0..<min($0 + Self.chunk, length) }
  }

  /// Calls `body` with each history that has rows, each head and the history's rows.
  func forEachHead(_ body: (Int, Int, Range<Int>) -> Void) {
    for s in 0..<(offsets.count - 1) where offsets[s] < offsets[s + 1] {
      for h in 0..<heads.count { body(s, h, offsets[s]..<offsets[s + 1]) }
    }
  }
}

extension PackedLinearAttention {
  /// Multiply-adds of `forward` for one history.
  public static func macs(heads: Int, dim: Int, length: Int, isCausal: Bool) -> Int {
    let width = dim / heads
    guard isCausal else { return 2 * length * dim * width }
    let (whole, rest) = length.quotientAndRemainder(dividingBy: chunk)
    let products = 2 * (whole * chunk * chunk + rest * rest) * dim
    // The first chunk reads no sums, the last one adds to none.
    let sums = length > chunk ? (length - chunk) + (length - 1) / chunk * chunk : 0
    return products + sums * dim * width
  }
}
