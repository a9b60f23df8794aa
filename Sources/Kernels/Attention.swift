public import VectorLoops

/// Multi-head attention over packed histories: for each history and head, softmax(scale * q k^T) v,
/// where position t sees positions 0 ... t of its own history, or all of it where not causal.
///
/// Rows of scores live in tiles of 64, so memory grows with the longest history, never with its
/// square. Dropout on the probabilities takes element (t, j) of head h in the stream of `key` to be
/// number ((first token + t) * heads + h) * (maximal length, rounded up to 64) + j.
public struct PackedAttention {
  public let heads: Int
  public let dim: Int
  /// `offsets[s] ..< offsets[s + 1]` are the rows of history s.
  public let offsets: [Int]
  public let isCausal: Bool
  public let dropout: Float
  public let key: RandomKey
  /// The number of the first token in its batch, so that dropout does not depend on how a batch is
  /// divided.
  public let firstToken: Int
  /// At least the length of every history.
  public let maximalLength: Int

  public init(
    heads: Int, dim: Int, offsets: [Int], isCausal: Bool = true, dropout: Float = 0,
    key: RandomKey = RandomKey(seed: 0, step: 0, op: 0), firstToken: Int = 0, maximalLength: Int
  ) {
    precondition(heads > 0 && dim % heads == 0, "attention: \(heads) heads do not divide \(dim)")
    self.heads = heads
    self.dim = dim
    self.offsets = offsets
    self.isCausal = isCausal
    self.dropout = dropout
    self.key = key
    self.firstToken = firstToken
    self.maximalLength = maximalLength
  }

  private static let tile = 64

  var headDim: Int { dim / heads }

  /// Random numbers come in blocks of 64, so each row of scores begins with a block.
  private var dropoutStride: Int { (maximalLength + 63) / 64 * 64 }

  var scale: Float { 1 / Float(headDim).squareRoot() }

  /// Queries from `q`, keys and values from `k` and `v`; all `[tokens, dim]`.
  public func forward(q: Matrix, k: Matrix, v: Matrix, into y: Matrix, logSums: Output?) {
    forEachTile { h, history, first, count, seen in
      let (qs, ks, vs) = (
        part(q, h, history + first, count), part(k, h, history, seen), part(v, h, history, seen)
      )
      let scores = Buffer(count: count * seen + count)
      let p = Matrix(scores, rows: count, columns: seen)
      let sums =
        logSums.map { $0 + h * q.rows + history + first } ?? scores.pointer + count * seen
      gemm(qs, ks, transposeB: true, into: p)
      loops.causalSoftmax(
        p.pointer, rows: count, columns: seen, first: isCausal ? first : seen, scale: scale,
        logSums: sums)
      if dropout > 0 { drop(p, h, history + first) }
      gemm(p, vs, into: part(y, h, history + first, count))
    }
  }

  /// What `forward` gives for the last position of each history alone, without dropout: all that a
  /// recommendation needs.
  ///
  /// - Shapes: `q` and `y` are `[histories, dim]`, `k` and `v` are `[tokens, dim]`.
  public func forwardLast(q: Matrix, k: Matrix, v: Matrix, into y: Matrix) {
    y.zero()
    let scores = Buffer(count: maximalLength + 1)
    let p = scores.pointer
    for s in 0..<(offsets.count - 1) {
      let (start, count) = (offsets[s], offsets[s + 1] - offsets[s])
      for h in 0..<heads where count > 0 {
        let column = h * headDim
        let query = q.pointer + s * q.stride + column
        for j in 0..<count {
          p[j] = loops.dot(query, k.pointer + (start + j) * k.stride + column, count: headDim)
        }
        loops.causalSoftmax(
          p, rows: 1, columns: count, first: count - 1, scale: scale, logSums: p + maximalLength)
        for j in 0..<count {
          loops.accumulate(
            v.pointer + (start + j) * v.stride + column, alpha: p[j],
            into: y.pointer + s * y.stride + column, count: headDim)
        }
      }
    }
  }

  /// The gradients of `forward`, added to `dq`, `dk` and `dv`. `logSums` `[heads, tokens]` is what
  /// forward wrote, `y` its result.
  public func backward(
    q: Matrix, k: Matrix, v: Matrix, y: Matrix, dy: Matrix, logSums: Input, dq: Matrix, dk: Matrix,
    dv: Matrix
  ) {
    let shifts = Buffer(count: Self.tile)
    forEachTile { h, history, first, count, seen in
      let (qs, ks, vs) = (
        part(q, h, history + first, count), part(k, h, history, seen), part(v, h, history, seen)
      )
      let dys = part(dy, h, history + first, count)
      let ys = part(y, h, history + first, count)
      // sum_j p_j dp_j = y . dy, with dropout too: the dropped p multiply the same v.
      for r in 0..<count {
        shifts.pointer[r] = loops.dot(
          ys.pointer + r * ys.stride, dys.pointer + r * dys.stride, count: headDim)
      }
      let scratch = Buffer(count: (dropout > 0 ? 3 : 2) * count * seen)
      let p = Matrix(scratch, rows: count, columns: seen)
      let dp = Matrix(scratch, from: count * seen, rows: count, columns: seen)
      gemm(qs, ks, transposeB: true, into: p)
      loops.causalProbabilities(
        p.pointer, rows: count, columns: seen, first: isCausal ? first : seen, scale: scale,
        logSums: logSums + h * q.rows + history + first)
      gemm(dys, vs, transposeB: true, into: dp)
      if dropout > 0 {
        let dropped = Matrix(scratch, from: 2 * count * seen, rows: count, columns: seen)
        scales(of: dropped, h, history + first)
        loops.multiply(dp.pointer, dropped.pointer, into: dp.pointer, count: count * seen)
        loops.multiply(p.pointer, dropped.pointer, into: dropped.pointer, count: count * seen)
        gemm(dropped, dys, transposeA: true, into: part(dv, h, history, seen), beta: 1)
      } else {
        gemm(p, dys, transposeA: true, into: part(dv, h, history, seen), beta: 1)
      }
      loops.softmaxBackward(
        p: p.pointer, dp: dp.pointer, rows: count, columns: seen, shifts: shifts.pointer,
        scale: scale)
      gemm(dp, ks, into: part(dq, h, history + first, count), beta: 1)
      gemm(dp, qs, transposeA: true, into: part(dk, h, history, seen), beta: 1)
    }
  }

  /// Calls `body` with a head, the first row of a history, the first and the number of a tile of its
  /// queries, and how many of its keys they see.
  private func forEachTile(_ body: (Int, Int, Int, Int, Int) -> Void) {
    for s in 0..<(offsets.count - 1) {
      let length = offsets[s + 1] - offsets[s]
      for h in 0..<heads {
        for first in stride(from: 0, to: length, by: Self.tile) {
          let count = min(Self.tile, length - first)
          body(h, offsets[s], first, count, isCausal ? first + count : length)
        }
      }
    }
  }

  private func part(_ x: Matrix, _ head: Int, _ row: Int, _ count: Int) -> Matrix {
    x.block(row: row, column: head * headDim, rows: count, columns: headDim)
  }

  private func scales(of p: Matrix, _ head: Int, _ row: Int) {
    for r in 0..<p.rows {
      let start = ((firstToken + row + r) * heads + head) * dropoutStride
      loops.dropoutScales(
        p.pointer + r * p.stride, start: start, count: p.columns, key: key, probability: dropout)
    }
  }

  private func drop(_ p: Matrix, _ head: Int, _ row: Int) {
    let mask = Buffer(count: p.rows * p.columns)
    scales(of: Matrix(mask, rows: p.rows, columns: p.columns), head, row)
    loops.multiply(p.pointer, mask.pointer, into: p.pointer, count: p.rows * p.columns)
  }
}
