import Foundation
import Kernels
import Testing
import VectorLoops
import _TestSupport

@Suite struct LinearAttentionTests {
  // MARK: - The map of queries and keys

  @Test(arguments: InstructionSet.supported, [[1, 1], [2, 3], [16, 1], [17, 2], [40, 3]])
  func headsAreUnitRowsOfELU(set: InstructionSet, shape: [Int]) {
    let (width, segments, rows, gap) = (shape[0], shape[1], 3, 2)
    let columns = width * segments
    let stride = columns + gap
    // Some numbers are so small that exp(x) - 1 would lose them.
    let x = randomFloats(rows * stride, seed: 50).enumerated().map { $0 % 3 == 0 ? $1 * 1e-5 : $1 }
    let dy = randomFloats(rows * columns, seed: 51)
    var y = Array(repeating: 0.0, count: rows * columns)
    var dx = Array(repeating: 0.25, count: rows * stride)
    var inverses: [Double] = []
    for r in 0..<rows {
      for s in 0..<segments {
        let numbers = (0..<width).map { Double(x[r * stride + s * width + $0]) }
        let elu = numbers.map { $0 > 0 ? $0 : expm1($0) }
        let inverse = 1 / (elu.reduce(0) { $0 + $1 * $1 } + 1e-12).squareRoot()
        inverses.append(inverse)
        let start = r * columns + s * width
        let product = (0..<width).reduce(0) {
          $0 + elu[$1] * inverse * Double(dy[start + $1])
        }
        for i in 0..<width {
          y[start + i] = elu[i] * inverse
          dx[r * stride + s * width + i] +=
            inverse * (Double(dy[start + i]) - y[start + i] * product) * (min(elu[i], 0) + 1)
        }
      }
    }
    let (input, output, found) = (
      Guarded(x), Guarded(count: rows * columns), Guarded(count: rows * segments)
    )
    set.loops.unitELU(
      input.pointer, rows: rows, segments: segments, width: width, stride: stride, epsilon: 1e-12,
      into: output.pointer, inverses: found.pointer)
    expectClose(output.values, y, .norms, "unitELU")
    expectClose(found.values, inverses, .norms, "inverses")
    let (cotangent, gradient) = (Guarded(dy), Guarded(count: rows * stride, value: 0.25))
    set.loops.unitELUBackward(
      y: output.pointer, inverses: found.pointer, dy: cotangent.pointer, rows: rows,
      segments: segments, width: width, into: gradient.pointer, stride: stride)
    // A row of one number is 1 or -1 whatever it is; rounding is all that is left.
    if width > 1 { expectClose(gradient.values, dx, .norms, "unitELUBackward") }
    #expect(output.isIntact && found.isIntact && gradient.isIntact)
  }

  @Test(arguments: InstructionSet.supported)
  func smallNumbersKeepTheirDigits(set: InstructionSet) {
    // With one head of x and 1, the ratio of the results is elu(x).
    for x in [-1e-7, -1e-5, -1e-3, -0.3, -0.4, -1, -20, -87, -200] as [Float] {
      let (row, y, inverse) = (Guarded([x, 1]), Guarded(count: 2), Guarded(count: 1))
      set.loops.unitELU(
        row.pointer, rows: 1, segments: 1, width: 2, stride: 2, epsilon: 0, into: y.pointer,
        inverses: inverse.pointer)
      let ratio = Double(y.pointer[0]) / Double(y.pointer[1]) / expm1(Double(x))
      expectClose([Float(ratio)], [1], .norms, "elu(\(x))")
    }
  }

  @Test func aHeadOfZerosStaysZero() {
    let zeros = Guarded([0, 0, 3, 4])
    let unit = UnitELU(of: Matrix(zeros.pointer, rows: 1, columns: 4), heads: 2)
    #expect((0..<4).map { unit.values.pointer[$0] } == [0, 0, 0.6, 0.8])
  }

  // MARK: - The specification's numbers

  private static let queries: [Float] = [1, -1, 0.5, 2, -0.5, 0.25]
  private static let keys: [Float] = [0.2, -0.4, 1, 1, -2, 0.5]
  private static let values: [Float] = [1, 0, 0, 1, 2, -1]

  @Test(arguments: [
    (false, 3, [-0.78007565, 0.86203832, -0.10768064, 0.41140100, 0.77921299, -0.86037041]),
    (true, 3, [0.63303907, 0, -0.49755677, 0.60633906, 0.77921299, -0.86037041]),
    (false, 2, [0.63303907, 0.15548096, -0.49755677, 0.60633906]),
  ])
  func resultsAreThoseOfTheSpecification(isCausal: Bool, tokens: Int, expected: [Double]) {
    let parts = [Self.queries, Self.keys, Self.values].map {
      Matrix(copying: $0.prefix(2 * tokens), columns: 2)
    }
    let y = Guarded(count: 2 * tokens)
    PackedLinearAttention(heads: 1, dim: 2, offsets: [0, tokens], isCausal: isCausal).forward(
      q: UnitELU(of: parts[0], heads: 1), k: UnitELU(of: parts[1], heads: 1), v: parts[2],
      into: Matrix(y.pointer, rows: tokens, columns: 2))
    expectClose(y.values, expected, .attention, "linear attention")
  }

  // MARK: - Against sums over all pairs

  private static let offsets = [0, 1, 64, 64, 129, 322, 324]

  private struct Inputs {
    let memory: Matrix
    let dy: Matrix
    let dim: Int
    let tokens = 324

    init(dim: Int) {
      self.dim = dim
      memory = Matrix(
        copying: randomFloats(tokens * 3 * dim, seed: 52)[...], columns: 3 * dim)
      dy = Matrix(copying: randomFloats(tokens * dim, seed: 53)[...], columns: dim)
    }

    /// Queries, keys and values are columns of one matrix.
    func part(_ i: Int) -> Matrix {
      memory.block(column: i * dim, rows: tokens, columns: dim)
    }

    func unit(_ i: Int, _ heads: Int) -> UnitELU { UnitELU(of: part(i), heads: heads) }
  }

  /// y, dq, dk, dv and the gradient of the rates as sums over pairs of positions, in double precision.
  private func reference(
    _ x: Inputs, q: UnitELU, k: UnitELU, heads: Int, isCausal: Bool, rates: [Float] = []
  ) -> [[Double]] {
    let (dim, width) = (x.dim, x.dim / heads)
    let scale = 1 / Double(width).squareRoot()
    let (qs, ks, vs) = (q.values.doubles, k.values.doubles, x.part(2).doubles)
    let gs = x.dy.doubles
    var results = Array(repeating: Array(repeating: 0.0, count: x.tokens * dim), count: 4)
    results.append(rates.map { _ in 0 })
    for (start, end) in zip(Self.offsets, Self.offsets.dropFirst()) {
      for h in 0..<heads {
        for t in start..<end {
          for j in start..<(isCausal ? t + 1 : end) {
            let (a, b) = (t * dim + h * width, j * dim + h * width)
            let factor = rates.isEmpty ? scale : scale * exp(-Double(rates[h]) * Double(t - j))
            let product = (0..<width).reduce(0) { $0 + qs[a + $1] * ks[b + $1] }
            let weight = factor * product
            let slope = factor * (0..<width).reduce(0) { $0 + gs[a + $1] * vs[b + $1] }
            if !rates.isEmpty { results[4][h] -= Double(t - j) * slope * product }
            for i in 0..<width {
              results[0][a + i] += weight * vs[b + i]
              results[1][a + i] += slope * ks[b + i]
              results[2][b + i] += slope * qs[a + i]
              results[3][b + i] += weight * gs[a + i]
            }
          }
        }
      }
    }
    return results
  }

  enum Form: CaseIterable {
    case whole, causal, decayed

    var isCausal: Bool { self != .whole }

    /// Some items, all of them, few.
    func rates(_ heads: Int) -> [Float] {
      self == .decayed ? [0.7, 0.01, 2].prefix(heads).map { $0 } : []
    }

    func attention(heads: Int, dim: Int, offsets: [Int]) -> PackedLinearAttention {
      PackedLinearAttention(
        heads: heads, dim: dim, offsets: offsets, isCausal: isCausal, rates: rates(heads))
    }
  }

  @Test(arguments: [[1, 1], [6, 3], [64, 2], [34, 2]], Form.allCases)
  func sumsAreThoseOverAllPairs(shape: [Int], form: Form) {
    let (dim, heads) = (shape[0], shape[1])
    let x = Inputs(dim: dim)
    let (q, k) = (x.unit(0, heads), x.unit(1, heads))
    let expected = reference(
      x, q: q, k: k, heads: heads, isCausal: form.isCausal, rates: form.rates(heads))
    let attention = form.attention(heads: heads, dim: dim, offsets: Self.offsets)
    let found = (0..<4).map { Guarded(count: x.tokens * dim, value: $0 == 3 ? 0.5 : .nan) }
    let places = found.map { Matrix($0.pointer, rows: x.tokens, columns: dim) }
    attention.forward(q: q, k: k, v: x.part(2), into: places[0])
    let slopes = attention.backward(
      q: q, k: k, v: x.part(2), dy: x.dy, dq: places[1], dk: places[2], dv: places[3])
    for (i, name) in ["y", "dq", "dk"].enumerated() {
      expectClose(found[i].values, expected[i], .linearAttention, name)
    }
    expectClose(found[3].values, expected[3].map { $0 + 0.5 }, .linearAttention, "dv is added")
    #expect(found.allSatisfy { $0.isIntact })
    for (h, slope) in slopes.enumerated() {
      expectClose([slope], [expected[4][h]], .linearAttentionRates, "rate of head \(h)")
    }
  }

  @Test func extremeRatesKeepAllOrNothing() {
    let (dim, heads) = (6, 2)
    let x = Inputs(dim: dim)
    let (q, k) = (x.unit(0, heads), x.unit(1, heads))
    let rates = PackedLinearAttention.rates(ofLogs: [-1000, 1000])
    let whole = reference(x, q: q, k: k, heads: heads, isCausal: true)
    let alone = reference(
      x, q: q, k: k, heads: heads, isCausal: true, rates: [0, 1000])  // exp(-1000) is 0
    let attention = PackedLinearAttention(
      heads: heads, dim: dim, offsets: Self.offsets, isCausal: true, rates: rates)
    let found = (0..<4).map { _ in Guarded(count: x.tokens * dim, value: 0) }
    let places = found.map { Matrix($0.pointer, rows: x.tokens, columns: dim) }
    attention.forward(q: q, k: k, v: x.part(2), into: places[0])
    let slopes = attention.backward(
      q: q, k: k, v: x.part(2), dy: x.dy, dq: places[1], dk: places[2], dv: places[3])
    for (i, name) in ["y", "dq", "dk", "dv"].enumerated() {
      expectClose(found[i].values, alone[i], .linearAttention, name)
    }
    for h in 0..<heads {
      expectClose([slopes[h]], [alone[4][h]], .linearAttentionRates, "rate of head \(h)")
    }
    let first = (0..<x.tokens).flatMap { t in (0..<3).map { t * dim + $0 } }
    expectClose(
      first.map { found[0].values[$0] }, first.map { whole[0][$0] }, .linearAttention, "rate 0")
    let count = Self.offsets.count - 1
    let last = Guarded(count: count * dim)
    let rows = (0..<count).map { max(Self.offsets[$0 + 1] - 1, 0) }
    attention.forwardLast(
      q: UnitELU(
        of: Matrix(copying: rows.flatMap { x.part(0).row($0) }[...], columns: dim), heads: heads),
      k: k, v: x.part(2), into: Matrix(last.pointer, rows: count, columns: dim))
    var expected = Array(repeating: 0.0, count: count * dim)
    for (s, row) in rows.enumerated() where Self.offsets[s] < Self.offsets[s + 1] {
      for c in 0..<dim { expected[s * dim + c] = alone[0][row * dim + c] }
    }
    expectClose(last.values, expected, .linearAttention, "forwardLast")
  }

  @Test(arguments: [[1, 1], [6, 3], [64, 2]], Form.allCases)
  func forwardLastIsTheLastRowsOfForward(shape: [Int], form: Form) {
    let (dim, heads) = (shape[0], shape[1])
    let x = Inputs(dim: dim)
    let attention = form.attention(heads: heads, dim: dim, offsets: Self.offsets)
    let y = Guarded(count: x.tokens * dim)
    attention.forward(
      q: x.unit(0, heads), k: x.unit(1, heads), v: x.part(2),
      into: Matrix(y.pointer, rows: x.tokens, columns: dim))
    let count = Self.offsets.count - 1
    let last = Guarded(count: count * dim)
    var (queries, expected) = ([Float](), [Double]())
    for s in 0..<count {
      let isEmpty = Self.offsets[s] == Self.offsets[s + 1]
      let token = Self.offsets[s + 1] - 1
      queries += x.part(0).row(token)
      expected += (0..<dim).map { isEmpty ? 0 : Double(y.pointer[token * dim + $0]) }
    }
    attention.forwardLast(
      q: UnitELU(of: Matrix(copying: queries[...], columns: dim), heads: heads),
      k: x.unit(1, heads), v: x.part(2), into: Matrix(last.pointer, rows: count, columns: dim))
    expectClose(last.values, expected, .linearAttention, "forwardLast")
    #expect(last.isIntact)
  }

  @Test(arguments: [[1, 1], [6, 3], [64, 2]], [Form.causal, .decayed])
  func tokensOneByOneGiveTheCausalForm(shape: [Int], form: Form) {
    let (dim, heads, people) = (shape[0], shape[1], 2)
    let (size, tokens) = (dim * dim / heads, 150)
    let x = Inputs(dim: dim)
    let whole = Matrix(Buffer(count: x.tokens * dim), rows: x.tokens, columns: dim)
    form.attention(heads: heads, dim: dim, offsets: [0, tokens, 2 * tokens]).forward(
      q: x.unit(0, heads), k: x.unit(1, heads), v: x.part(2), into: whole)
    // One float beside each state must stay as it is.
    let memory = Guarded(count: people * (size + 1), value: 0)
    let states = Matrix(memory.pointer, rows: people, columns: size + 1).block(
      column: 1, rows: people, columns: size)
    for t in 0..<tokens {
      let parts = (0..<3).map { i in
        let rows = (0..<people).flatMap { x.part(i).row($0 * tokens + t) }
        return Matrix(copying: rows[...], columns: dim)
      }
      let out = Guarded(count: people * dim)
      PackedLinearAttention.advance(
        states, heads: heads, rates: form.rates(heads), q: UnitELU(of: parts[0], heads: heads),
        k: UnitELU(of: parts[1], heads: heads), v: parts[2],
        into: Matrix(out.pointer, rows: people, columns: dim))
      let expected = (0..<people).flatMap { whole.row($0 * tokens + t) }
      expectClose(
        out.values, expected.map { Double($0) }, .linearAttention, "token \(t)")
      #expect(out.isIntact)
    }
    #expect(memory.isIntact && memory.pointer[0] == 0 && memory.pointer[size + 1] == 0)
  }

  @Test(arguments: Form.allCases)
  func resultsDoNotDependOnTheOtherHistories(form: Form) {
    let (dim, heads) = (8, 2)
    let x = Inputs(dim: dim)
    let (together, apart) = (Guarded(count: x.tokens * dim), Guarded(count: x.tokens * dim))
    let places = [together, apart].map { Matrix($0.pointer, rows: x.tokens, columns: dim) }
    let (q, k) = (x.unit(0, heads), x.unit(1, heads))
    form.attention(heads: heads, dim: dim, offsets: Self.offsets)
      .forward(q: q, k: k, v: x.part(2), into: places[0])
    for (start, end) in zip(Self.offsets, Self.offsets.dropFirst()) {
      func own(_ i: Int) -> Matrix { x.part(i).rows(start..<end) }
      form.attention(heads: heads, dim: dim, offsets: [0, end - start]).forward(
        q: UnitELU(of: own(0), heads: heads), k: UnitELU(of: own(1), heads: heads), v: own(2),
        into: places[1].rows(start..<end))
    }
    expectSameBits(apart.values, together.values, "attention by history")
  }

  @Test func multiplyAddsAreThoseOfTheProducts() {
    func macs(_ length: Int, isCausal: Bool) -> Int {
      PackedLinearAttention.macs(heads: 2, dim: 6, length: length, isCausal: isCausal)
    }
    // K^T V and Q M, a head of width 3 each.
    #expect(macs(10, isCausal: false) == 2 * 10 * 6 * 3)
    // One chunk: its own products alone.
    #expect(macs(1, isCausal: true) == 2 * 6)
    #expect(macs(64, isCausal: true) == 2 * 64 * 64 * 6)
    // Two chunks: sums over the first, read by the second.
    #expect(macs(65, isCausal: true) == 2 * (64 * 64 + 1) * 6 + (64 + 1) * 6 * 3)
    #expect(macs(128, isCausal: true) == 2 * 2 * 64 * 64 * 6 + (64 + 64) * 6 * 3)
    #expect(macs(130, isCausal: true) == 2 * (2 * 64 * 64 + 4) * 6 + (128 + 66) * 6 * 3)
  }
}

extension Matrix {
  fileprivate init(copying numbers: ArraySlice<Float>, columns: Int) {
    let buffer = Buffer(count: numbers.count)
    for (i, number) in numbers.enumerated() { buffer.pointer[i] = number }
    self.init(buffer, rows: numbers.count / columns, columns: columns)
  }

  fileprivate func row(_ r: Int) -> [Float] { (0..<columns).map { pointer[r * stride + $0] } }

  fileprivate var doubles: [Double] { (0..<rows).flatMap { row($0).map { Double($0) } } }
}
