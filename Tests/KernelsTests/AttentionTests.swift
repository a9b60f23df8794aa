import Kernels
import Testing
import VectorLoops
import _TestSupport

@Suite struct AttentionTests {
  private static let offsets = [0, 1, 66, 66, 196, 199]

  /// Queries, keys and values as columns of one matrix.
  private struct Inputs {
    let memory: Guarded
    let tokens: Int
    let dim: Int

    init(tokens: Int, dim: Int) {
      (self.tokens, self.dim) = (tokens, dim)
      memory = Guarded(randomFloats(tokens * 3 * dim, seed: 70))
    }

    func part(_ i: Int) -> Matrix {
      Matrix(memory.pointer, rows: tokens, columns: 3 * dim).block(
        column: i * dim, rows: tokens, columns: dim)
    }
  }

  @Test(arguments: [[1, 1], [6, 3], [64, 2], [34, 2]])
  func forwardLastIsTheLastRowsOfForward(shape: [Int]) {
    let (dim, heads) = (shape[0], shape[1])
    let inputs = Inputs(tokens: 199, dim: dim)
    let attention = PackedAttention(
      heads: heads, dim: dim, offsets: Self.offsets, maximalLength: 130)
    let y = Guarded(count: 199 * dim)
    attention.forward(
      q: inputs.part(0), k: inputs.part(1), v: inputs.part(2),
      into: Matrix(y.pointer, rows: 199, columns: dim), logSums: nil)
    let count = Self.offsets.count - 1
    let queries = Guarded(count: count * dim)
    var expected: [Double] = []
    for s in 0..<count {
      let (start, end) = (Self.offsets[s], Self.offsets[s + 1])
      // A history without tokens gets zeros.
      let token = max(start, end - 1)
      for c in 0..<dim {
        queries.pointer[s * dim + c] = inputs.part(0).pointer[token * 3 * dim + c]
        expected.append(end > start ? Double(y.pointer[token * dim + c]) : 0)
      }
    }
    let last = Guarded(count: count * dim)
    attention.forwardLast(
      q: Matrix(queries.pointer, rows: count, columns: dim), k: inputs.part(1), v: inputs.part(2),
      into: Matrix(last.pointer, rows: count, columns: dim))
    expectClose(last.values, expected, .attention, "forwardLast")
    #expect(last.isIntact && y.isIntact)
  }

  @Test(arguments: [true, false])
  func resultsHaveEqualBitsOnAnyNumberOfThreads(isCausal: Bool) {
    let (dim, tokens) = (8, 199)
    let inputs = Inputs(tokens: tokens, dim: dim)
    let results = [1, 2, 3, 8].map { workers in
      let (y, logSums) = (Guarded(count: tokens * dim), Guarded(count: 2 * tokens))
      WorkerPool.run(tasks: 1, workers: workers) { _ in
        PackedAttention(
          heads: 2, dim: dim, offsets: Self.offsets, isCausal: isCausal, dropout: 0.25,
          key: RandomKey(seed: 3, step: 1, op: 2), maximalLength: 130
        ).forward(
          q: inputs.part(0), k: inputs.part(1), v: inputs.part(2),
          into: Matrix(y.pointer, rows: tokens, columns: dim), logSums: logSums.pointer)
      }
      #expect(y.isIntact && logSums.isIntact)
      return y.values + logSums.values
    }
    for values in results { expectSameBits(values, results[0], "attention") }
  }

  @Test func resultsDoNotDependOnTheOtherHistories() {
    let (dim, tokens) = (8, 199)
    let inputs = Inputs(tokens: tokens, dim: dim)
    let key = RandomKey(seed: 3, step: 1, op: 2)
    let together = Guarded(count: tokens * dim)
    PackedAttention(
      heads: 2, dim: dim, offsets: Self.offsets, dropout: 0.25, key: key, firstToken: 40,
      maximalLength: 130
    ).forward(
      q: inputs.part(0), k: inputs.part(1), v: inputs.part(2),
      into: Matrix(together.pointer, rows: tokens, columns: dim), logSums: nil)
    let apart = Guarded(count: tokens * dim)
    for (start, end) in zip(Self.offsets, Self.offsets.dropFirst()) {
      let rows = start..<end
      PackedAttention(
        heads: 2, dim: dim, offsets: [0, rows.count], dropout: 0.25, key: key,
        firstToken: 40 + start, maximalLength: 130
      ).forward(
        q: inputs.part(0).rows(rows), k: inputs.part(1).rows(rows), v: inputs.part(2).rows(rows),
        into: Matrix(apart.pointer, rows: tokens, columns: dim).rows(rows), logSums: nil)
    }
    expectSameBits(apart.values, together.values, "attention by history")
  }

  @Test func withoutAMaskEachPositionSeesWhatTheLastOneSees() {
    let (dim, tokens) = (6, 130)
    let inputs = Inputs(tokens: tokens, dim: dim)
    /// The attention of one history whose tokens stand in another order.
    func attend(_ order: [Int], isCausal: Bool) -> [Float] {
      let parts = (0..<3).map { i in
        Guarded(order.flatMap { t in (0..<dim).map { inputs.part(i).row(t)[$0] } })
      }
      let y = Guarded(count: tokens * dim)
      let (q, k, v) = (parts[0], parts[1], parts[2])
      func matrix(_ x: Guarded) -> Matrix { Matrix(x.pointer, rows: tokens, columns: dim) }
      PackedAttention(
        heads: 2, dim: dim, offsets: [0, tokens], isCausal: isCausal, maximalLength: tokens
      ).forward(q: matrix(q), k: matrix(k), v: matrix(v), into: matrix(y), logSums: nil)
      #expect(y.isIntact)
      return y.values
    }
    let found = attend(Array(0..<tokens), isCausal: false)
    for t in [0, 1, 63, 64, 127, 128, 129] {
      // With token t at the end, causal attention sees all of the history there.
      let order = (0..<tokens).filter { $0 != t } + [t]
      let expected = attend(order, isCausal: true).suffix(dim).map { Double($0) }
      expectClose(
        Array(found[(t * dim)..<((t + 1) * dim)]), expected, .attention, "position \(t)")
    }
  }
}

extension Matrix {
  fileprivate func row(_ r: Int) -> UnsafeMutablePointer<Float> { pointer + r * stride }
}
