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
/// SIGIR 2023, in the form of its authors' code; padding takes no part.
public struct PackedLinearAttention {
  private let heads: Heads
  /// `offsets[s] ..< offsets[s + 1]` are the rows of history s.
  private let offsets: [Int]
  private let isCausal: Bool

  public init(heads: Int, dim: Int, offsets: [Int], isCausal: Bool) {
    self.heads = Heads(heads, dim: dim)
    self.offsets = offsets
    self.isCausal = isCausal
  }

  /// Causal attention meets the keys of its own chunk in products, earlier ones in sums of k v^T.
  private static let chunk = 64

  /// - Shapes: all are `[tokens, dim]`.
  public func forward(q: UnitELU, k: UnitELU, v: Matrix, into y: Matrix) {
    forEachHead { _, h, rows in
      let (q, k) = (heads.part(q.values, h, rows), heads.part(k.values, h, rows))
      let (v, y) = (heads.part(v, h, rows), heads.part(y, h, rows))
      let sums = heads.square()
      if !isCausal {
        gemm(k, v, transposeA: true, into: sums)
        return gemm(q, sums, into: y, alpha: heads.scale)
      }
      for chunk in chunks(of: rows.count) {
        let (q, k, v, y) = (q.rows(chunk), k.rows(chunk), v.rows(chunk), y.rows(chunk))
        let isFirst = chunk.lowerBound == 0
        gemm(lowerProducts(q, k), v, into: y)
        if !isFirst { gemm(q, sums, into: y, alpha: heads.scale, beta: 1) }
        if chunk.upperBound < rows.count {
          gemm(k, v, transposeA: true, into: sums, beta: isFirst ? 0 : 1)
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
      for j in 0..<rows.count {
        let product = loops.dot(q.pointer, k.pointer + j * k.stride, count: heads.width)
        loops.accumulate(
          v.pointer + j * v.stride, alpha: heads.scale * product, into: y.pointer,
          count: heads.width)
      }
    }
  }

  /// Writes the gradients of `forward` to `dq` and `dk`, and adds that of v to `dv`.
  public func backward(
    q: UnitELU, k: UnitELU, v: Matrix, dy: Matrix, dq: Matrix, dk: Matrix, dv: Matrix
  ) {
    let all = Operands(q: q.values, k: k.values, v: v, dy: dy, dq: dq, dk: dk, dv: dv)
    forEachHead { _, h, rows in
      let history = all.map { heads.part($0, h, rows) }
      isCausal ? causalBackward(history, rows.count) : wholeBackward(history)
    }
  }

  /// The matrices of `backward`, or the same part of each.
  private struct Operands {
    let q, k, v, dy, dq, dk, dv: Matrix

    func map(_ part: (Matrix) -> Matrix) -> Operands {
      Operands(
        q: part(q), k: part(k), v: part(v), dy: part(dy), dq: part(dq), dk: part(dk), dv: part(dv))
    }
  }

  /// With M = K^T V and dM = scale * Q^T dY: dQ = scale * dY M^T, dK = V dM^T, dV = K dM.
  private func wholeBackward(_ x: Operands) {
    let sums = heads.square()
    gemm(x.k, x.v, transposeA: true, into: sums)
    gemm(x.dy, sums, transposeB: true, into: x.dq, alpha: heads.scale)
    gemm(x.q, x.dy, transposeA: true, into: sums, alpha: heads.scale)
    gemm(x.v, sums, transposeB: true, into: x.dk)
    gemm(x.k, sums, into: x.dv, beta: 1)
  }

  /// The same with sums over earlier chunks for dQ, over later ones for dK and dV.
  private func causalBackward(_ x: Operands, _ length: Int) {
    let chunks = chunks(of: length)
    var earlier: [Matrix] = []
    for chunk in chunks.dropLast() {
      let sums = heads.square()
      if let last = earlier.last {
        sums.pointer.update(from: last.pointer, count: sums.rows * sums.columns)
      }
      gemm(
        x.k.rows(chunk), x.v.rows(chunk), transposeA: true, into: sums,
        beta: earlier.isEmpty ? 0 : 1)
      earlier.append(sums)
    }
    let later = heads.square()
    for (i, chunk) in chunks.enumerated().reversed() {
      let x = x.map { $0.rows(chunk) }
      let isLast = i == chunks.count - 1
      let (p, dp) = (lowerProducts(x.q, x.k), lowerProducts(x.dy, x.v))
      gemm(dp, x.k, into: x.dq)
      gemm(dp, x.q, transposeA: true, into: x.dk)
      gemm(p, x.dy, transposeA: true, into: x.dv, beta: 1)
      if i > 0 {
        gemm(x.dy, earlier[i - 1], transposeB: true, into: x.dq, alpha: heads.scale, beta: 1)
      }
      if !isLast {
        gemm(x.v, later, transposeB: true, into: x.dk, beta: 1)
        gemm(x.k, later, into: x.dv, beta: 1)
      }
      if i > 0 {
        gemm(
          x.q, x.dy, transposeA: true, into: later, alpha: heads.scale, beta: isLast ? 0 : 1)
      }
    }
  }

  /// Takes one more token into the sums S of each person, S += k v^T, and writes o = scale * S^T q:
  /// the causal form, token by token.
  ///
  /// - Shapes: `q`, `k`, `v` and `y` are `[people, dim]`, `states` is `[people, heads * width *
  ///   width]`.
  public static func advance(
    _ states: Matrix, heads: Int, q: UnitELU, k: UnitELU, v: Matrix, into y: Matrix
  ) {
    let heads = Heads(heads, dim: v.columns)
    let width = heads.width
    y.zero()
    for person in 0..<states.rows {
      for h in 0..<heads.count {
        let parts = [q.values, k.values, v, y].map { heads.part($0, h, person..<(person + 1)) }
        let sums = states.pointer + person * states.stride + h * width * width
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
  private func lowerProducts(_ x: Matrix, _ y: Matrix) -> Matrix {
    let p = Matrix(Buffer(count: x.rows * y.rows), rows: x.rows, columns: y.rows)
    gemm(x, y, transposeB: true, into: p, alpha: heads.scale)
    for r in 0..<p.rows {
      (p.pointer + r * p.stride + r + 1).update(repeating: 0, count: p.columns - r - 1)
    }
    return p
  }

  private func chunks(of length: Int) -> [Range<Int>] {
    stride(from: 0, to: length, by: Self.chunk).map { $0..<min($0 + Self.chunk, length) }
  }

  /// Calls `body` with each history that has rows, each head and the history's rows.
  private func forEachHead(_ body: (Int, Int, Range<Int>) -> Void) {
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
