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
  private let heads: Heads
  /// `offsets[s] ..< offsets[s + 1]` are the rows of history s.
  private let offsets: [Int]
  private let isCausal: Bool
  /// Of each head; none where nothing decays.
  private let decays: [Decay]

  /// - Parameter rates: of each head, causal attention only; none where nothing decays.
  public init(heads: Int, dim: Int, offsets: [Int], isCausal: Bool, rates: [Float] = []) {
    check(
      rates.isEmpty || isCausal && rates.count == heads, "linearAttention: rates do not fit heads")
    self.heads = Heads(heads, dim: dim)
    self.offsets = offsets
    self.isCausal = isCausal
    decays = rates.map { Decay(rate: $0, steps: Self.chunk) }
  }

  /// The rates whose logarithms are given. None is so large that it would not be a number times 0.
  public static func rates(ofLogs logs: [Float]) -> [Float] { logs.map { min(exp($0), 1000) } }

  private func decay(_ head: Int) -> Decay? { decays.isEmpty ? nil : decays[head] }

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
      let decay = decay(h)
      for chunk in chunks(of: rows.count) {
        let (q, k, v, y) = (q.rows(chunk), k.rows(chunk), v.rows(chunk), y.rows(chunk))
        let isFirst = chunk.lowerBound == 0
        gemm(lowerProducts(q, k, decay), v, into: y)
        if !isFirst {
          gemm(decay?.sinceEarlier(q) ?? q, sums, into: y, alpha: heads.scale, beta: 1)
        }
        if chunk.upperBound < rows.count {
          if !isFirst { decay?.apply(steps: chunk.count, sums) }
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
      let ofOneStep = decay(h)?.ofOneStep ?? 1
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

  /// Writes the gradients of `forward` to `dq` and `dk`, and adds that of v to `dv`. Returns that of
  /// the rates, one for each head that decays.
  @discardableResult
  public func backward(
    q: UnitELU, k: UnitELU, v: Matrix, dy: Matrix, dq: Matrix, dk: Matrix, dv: Matrix
  ) -> [Float] {
    let all = Operands(q: q.values, k: k.values, v: v, dy: dy, dq: dq, dk: dk, dv: dv)
    var slopes = decays.map { _ in 0.0 }
    forEachHead { _, h, rows in
      let history = all.map { heads.part($0, h, rows) }
      if !isCausal { return wholeBackward(history) }
      let slope = causalBackward(history, decay(h), rows.count)
      if !slopes.isEmpty { slopes[h] -= slope }
    }
    return slopes.map { Float($0) }
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

  /// The same with sums over earlier chunks for dQ, over later ones for dK and dV. With decay it
  /// returns minus the gradient of its rate: the sum over pairs of (t - j) times what they add to the
  /// loss's derivative. Steps from j to t are those to the end of j's chunk, whole chunks, and those
  /// from the beginning of t's, so that no difference of large numbers is formed.
  private func causalBackward(_ x: Operands, _ decay: Decay?, _ length: Int) -> Double {
    let chunks = chunks(of: length)
    var earlier: [Matrix] = []
    for chunk in chunks.dropLast() {
      let sums = heads.square()
      if let last = earlier.last {
        sums.pointer.update(from: last.pointer, count: sums.rows * sums.columns)
        decay?.apply(steps: chunk.count, sums)
      }
      let k = x.k.rows(chunk)
      gemm(
        decay?.untilEnd(k) ?? k, x.v.rows(chunk), transposeA: true, into: sums,
        beta: earlier.isEmpty ? 0 : 1)
      earlier.append(sums)
    }
    var slope = 0.0
    let later = heads.square()
    for (i, chunk) in chunks.enumerated().reversed() {
      let x = x.map { $0.rows(chunk) }
      let (isFirst, isLast) = (i == 0, i == chunks.count - 1)
      let (p, dp) = (lowerProducts(x.q, x.k, decay), lowerProducts(x.dy, x.v, decay))
      gemm(dp, x.k, into: x.dq)
      gemm(dp, x.q, transposeA: true, into: x.dk)
      gemm(p, x.dy, transposeA: true, into: x.dv, beta: 1)
      if decay != nil {
        slope += moment(x.q, x.dq) { $0 } - moment(x.k, x.dk) { $0 }
        if !isFirst && !isLast {
          let count = heads.width * heads.width
          let product = loops.dot(earlier[i - 1].pointer, later.pointer, count: count)
          slope += Double(chunk.count) * Double(decay!.factor(steps: chunk.count) * product)
        }
      }
      if !isFirst {
        let dy = decay?.sinceEarlier(x.dy) ?? x.dy
        slope += add(dy, earlier[i - 1], heads.scale, to: x.dq, of: x.q, decay) { $0 + 1 }
      }
      if !isLast {
        let last = chunk.count - 1
        slope += add(decay?.untilEnd(x.v) ?? x.v, later, 1, to: x.dk, of: x.k, decay) { last - $0 }
        gemm(decay?.untilEnd(x.k) ?? x.k, later, into: x.dv, beta: 1)
      }
      if !isFirst {
        if !isLast { decay?.apply(steps: chunk.count, later) }
        gemm(
          decay?.sinceEarlier(x.q) ?? x.q, x.dy, transposeA: true, into: later, alpha: heads.scale,
          beta: isLast ? 0 : 1)
      }
    }
    return slope
  }

  /// Adds alpha a b^T to the gradient dx. With decay it returns the moment of that part.
  private func add(
    _ a: Matrix, _ b: Matrix, _ alpha: Float, to dx: Matrix, of x: Matrix, _ decay: Decay?,
    steps: (Int) -> Int
  ) -> Double {
    guard decay != nil else {
      gemm(a, b, transposeB: true, into: dx, alpha: alpha, beta: 1)
      return 0
    }
    let part = Matrix(Buffer(count: dx.rows * dx.columns), rows: dx.rows, columns: dx.columns)
    gemm(a, b, transposeB: true, into: part, alpha: alpha)
    for r in 0..<dx.rows {
      loops.accumulate(
        part.pointer + r * part.stride, alpha: 1, into: dx.pointer + r * dx.stride,
        count: dx.columns)
    }
    return moment(x, part, steps)
  }

  /// The sum over rows r of steps(r) times x_r . dx_r.
  private func moment(_ x: Matrix, _ dx: Matrix, _ steps: (Int) -> Int) -> Double {
    (0..<x.rows).reduce(0) { sum, r in
      let product = loops.dot(
        x.pointer + r * x.stride, dx.pointer + r * dx.stride, count: x.columns)
      return sum + Double(steps(r)) * Double(product)
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

  /// scale * x y^T, decayed, with zeros above the diagonal.
  private func lowerProducts(_ x: Matrix, _ y: Matrix, _ decay: Decay?) -> Matrix {
    let p = Matrix(Buffer(count: x.rows * y.rows), rows: x.rows, columns: y.rows)
    gemm(x, y, transposeB: true, into: p, alpha: heads.scale)
    for r in 0..<p.rows {
      let row = p.pointer + r * p.stride
      decay?.apply(upTo: r, row)
      (row + r + 1).update(repeating: 0, count: p.columns - r - 1)
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

/// How one head decays: exp(-rate n) is left after n steps.
private struct Decay {
  /// From the last step back to none.
  private let factors: Buffer
  private let last: Int
  let ofOneStep: Double

  /// Smaller factors count as 0: subnormal numbers would slow the products down.
  static let least: Float = 1e-20

  init(rate: Float, steps: Int) {
    last = steps
    ofOneStep = exp(-Double(rate))
    factors = Buffer(count: steps + 1)
    for n in 0...steps {
      let factor = Float(exp(-Double(rate) * Double(n)))
      factors.pointer[steps - n] = factor < Self.least ? 0 : factor
    }
  }

  func factor(steps: Int) -> Float { factors.pointer[last - steps] }

  /// Products of position `r` of a chunk with positions 0 ... r.
  func apply(upTo r: Int, _ products: Output) {
    loops.multiply(products, factors.pointer + last - r, into: products, count: r + 1)
  }

  /// Sums, some steps later.
  func apply(steps: Int, _ sums: Matrix) {
    loops.scale(
      sums.pointer, alpha: factor(steps: steps), into: sums.pointer,
      count: sums.rows * sums.columns)
  }

  /// Rows of a chunk as they meet the sums of earlier chunks.
  func sinceEarlier(_ x: Matrix) -> Matrix { scaled(x) { $0 + 1 } }

  /// Rows of a chunk as its last one sees them.
  func untilEnd(_ x: Matrix) -> Matrix { scaled(x) { x.rows - 1 - $0 } }

  private func scaled(_ x: Matrix, by steps: (Int) -> Int) -> Matrix {
    let y = Matrix(Buffer(count: x.rows * x.columns), rows: x.rows, columns: x.columns)
    for r in 0..<x.rows {
      loops.scale(
        x.pointer + r * x.stride, alpha: factor(steps: steps(r)),
        into: y.pointer + r * y.stride, count: x.columns)
    }
    return y
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
