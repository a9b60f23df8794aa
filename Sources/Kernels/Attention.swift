public import VectorLoops

/// How the columns of queries, keys and values divide into heads.
struct Heads {
  let count: Int
  /// The columns of one head.
  let width: Int

  init(_ count: Int, dim: Int) {
    check(count > 0 && dim % count == 0, "attention: \(count) heads do not divide \(dim)")
    self.count = count
    width = dim / count
  }

  /// What products of queries and keys are multiplied by.
  var scale: Float { 1 / Float(width).squareRoot() }

  /// The columns of one head in some rows.
  func part(_ x: Matrix, _ head: Int, _ rows: Range<Int>) -> Matrix {
    x.block(row: rows.lowerBound, column: head * width, rows: rows.count, columns: width)
  }

  /// Memory for sums of k v^T.
  func square() -> Matrix { Matrix(Buffer(count: width * width), rows: width, columns: width) }
}

/// Multi-head attention over packed histories: for each history and head, softmax(scale * q k^T) v,
/// where position t sees positions 0 ... t of its own history, or all of it where not causal.
///
/// Rows of scores live in tiles of 64, so memory grows with the longest history, never with its
/// square. Dropout on the probabilities takes element (t, j) of head h in the stream of `key` to be
/// number ((first token + t) * heads + h) * (maximal length, rounded up to 64) + j.
public struct PackedAttention {
  private let heads: Heads
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
    self.heads = Heads(heads, dim: dim)
    self.offsets = offsets
    self.isCausal = isCausal
    self.dropout = dropout
    self.key = key
    self.firstToken = firstToken
    self.maximalLength = maximalLength
  }

  private static let tile = 64

  /// Random numbers come in blocks of 64, so each row of scores begins with a block.
  private var dropoutStride: Int { (maximalLength + 63) / 64 * 64 }

  /// Queries from `q`, keys and values from `k` and `v`; all `[tokens, dim]`.
  public func forward(q: Matrix, k: Matrix, v: Matrix, into y: Matrix, logSums: Output?) {
    shareTiles { h, own, seen in
      let (qs, ks, vs) = (heads.part(q, h, own), heads.part(k, h, seen), heads.part(v, h, seen))
      let p = scores(own, seen)
      gemm(qs, ks, transposeB: true, into: p)
      loops.causalSoftmax(
        p.pointer, rows: p.rows, columns: p.columns, stride: p.stride, first: first(own, seen),
        scale: heads.scale, logSums: logSums.map { $0 + h * q.rows + own.lowerBound })
      if dropout > 0 { drop(p, h, own.lowerBound) }
      gemm(p, vs, into: heads.part(y, h, own))
    }
  }

  /// What `forward` gives for the last position of each history alone, without dropout: all that a
  /// recommendation needs.
  ///
  /// - Shapes: `q` and `y` are `[histories, dim]`, `k` and `v` are `[tokens, dim]`.
  public func forwardLast(q: Matrix, k: Matrix, v: Matrix, into y: Matrix) {
    for s in 0..<(offsets.count - 1) {
      let (own, seen) = (s..<(s + 1), offsets[s]..<offsets[s + 1])
      if seen.isEmpty { y.rows(own).zero() }
      for h in 0..<heads.count where !seen.isEmpty {
        let p = scores(own, seen)
        gemm(heads.part(q, h, own), heads.part(k, h, seen), transposeB: true, into: p)
        loops.causalSoftmax(
          p.pointer, rows: 1, columns: p.columns, stride: p.stride, first: p.columns,
          scale: heads.scale, logSums: nil)
        gemm(p, heads.part(v, h, seen), into: heads.part(y, h, own))
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
    forEachTile { h, own, seen in
      let (qs, ks, vs) = (heads.part(q, h, own), heads.part(k, h, seen), heads.part(v, h, seen))
      let (ys, dys) = (heads.part(y, h, own), heads.part(dy, h, own))
      // sum_j p_j dp_j = y . dy, with dropout too: the dropped p multiply the same v.
      for r in 0..<own.count {
        shifts.pointer[r] = loops.dot(
          ys.pointer + r * ys.stride, dys.pointer + r * dys.stride, count: heads.width)
      }
      let (p, dp) = (scores(own, seen), scores(own, seen))
      gemm(qs, ks, transposeB: true, into: p)
      loops.causalProbabilities(
        p.pointer, rows: p.rows, columns: p.columns, stride: p.stride, first: first(own, seen),
        scale: heads.scale, logSums: logSums + h * q.rows + own.lowerBound)
      gemm(dys, vs, transposeB: true, into: dp)
      if dropout > 0 {
        let (dropped, count) = (scores(own, seen), p.rows * p.stride)
        scales(of: dropped, h, own.lowerBound)
        loops.multiply(dp.pointer, dropped.pointer, into: dp.pointer, count: count)
        loops.multiply(p.pointer, dropped.pointer, into: dropped.pointer, count: count)
        gemm(dropped, dys, transposeA: true, into: heads.part(dv, h, seen), beta: 1)
      } else {
        gemm(p, dys, transposeA: true, into: heads.part(dv, h, seen), beta: 1)
      }
      loops.softmaxBackward(
        p: p.pointer, dp: dp.pointer, rows: p.rows, columns: p.columns, stride: p.stride,
        shifts: shifts.pointer, scale: heads.scale)
      gemm(dp, ks, into: heads.part(dq, h, own), beta: 1)
      gemm(dp, qs, transposeA: true, into: heads.part(dk, h, seen), beta: 1)
    }
  }

  /// Calls `body` with a head, the rows of a tile of queries, and the rows of the keys they see.
  private func forEachTile(_ body: (Int, Range<Int>, Range<Int>) -> Void) {
    for (start, end) in zip(offsets, offsets.dropFirst()) {
      for first in stride(from: start, to: end, by: Self.tile) {
        let own = first..<min(first + Self.tile, end)
        for h in 0..<heads.count { body(h, own, start..<(isCausal ? own.upperBound : end)) }
      }
    }
  }

  /// The same, on several threads where the work is worth it.
  private func shareTiles(_ body: (Int, Range<Int>, Range<Int>) -> Void) {
    guard WorkerPool.spare > 1, let tokens = offsets.last, tokens > Self.tile else {
      return forEachTile(body)
    }
    var tiles: [(head: Int, own: Range<Int>, seen: Range<Int>)] = []
    forEachTile { tiles.append(($0, $1, $2)) }
    // The last tiles of a history see most keys, so they go first.
    WorkerPool.run(tasks: tiles.count, workers: WorkerPool.spare) { i in
      let tile = tiles[tiles.count - 1 - i]
      body(tile.head, tile.own, tile.seen)
    }
  }

  /// Memory for the scores of a tile, whose rows end in whole vectors.
  private func scores(_ own: Range<Int>, _ seen: Range<Int>) -> Matrix {
    let stride = (seen.count + 15) & ~15
    return Matrix(Buffer(count: own.count * stride), rows: own.count, columns: stride)
      .block(rows: own.count, columns: seen.count)
  }

  /// How many keys the first query of a tile sees beside its own.
  private func first(_ own: Range<Int>, _ seen: Range<Int>) -> Int {
    isCausal ? seen.count - own.count : seen.count
  }

  private func scales(of p: Matrix, _ head: Int, _ row: Int) {
    for r in 0..<p.rows {
      let start = ((firstToken + row + r) * heads.count + head) * dropoutStride
      loops.dropoutScales(
        p.pointer + r * p.stride, start: start, count: p.columns, key: key, probability: dropout)
    }
  }

  private func drop(_ p: Matrix, _ head: Int, _ row: Int) {
    let count = p.rows * p.stride
    let mask = Matrix(Buffer(count: count), rows: p.rows, columns: p.stride)
    scales(of: mask.block(rows: p.rows, columns: p.columns), head, row)
    loops.multiply(p.pointer, mask.pointer, into: p.pointer, count: count)
  }
}
