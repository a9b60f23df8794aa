import Kernels
import Testing
import _TestSupport

@Suite struct GemmTests {
  private static let shapes = [
    [1, 1, 1], [1, 5, 7], [1, 64, 33], [2, 3, 4], [7, 1, 5], [5, 9, 1], [17, 33, 16], [64, 64, 64],
    [65, 7, 129], [1, 64, 37], [6, 40, 70], [19, 300, 39], [520, 259, 33],
  ]

  @Test(arguments: shapes, Precision.allCases)
  func productsOfViewsAreRightHoweverTransposed(shape: [Int], precision: Precision) {
    for padding in [0, 3, 5] { expectRightProducts(shape, padding, precision) }
  }

  private func expectRightProducts(_ shape: [Int], _ padding: Int, _ precision: Precision) {
    let (m, k, n) = (shape[0], shape[1], shape[2])
    let bias = randomFloats(n, seed: 4)
    for (aT, bT) in [(false, false), (false, true), (true, false), (true, true)] {
      for (alpha, beta) in [(1.0, 0.0), (1.0, 1.0), (-0.5, 0.0), (-0.5, 2.0)] {
        for bias in [nil, bias] {
          let x = ProductCase(
            rows: m, depth: k, columns: n, aT: aT, bT: bT, padding: padding, alpha: alpha,
            beta: beta, bias: bias, precision: precision)
          gemm(
            x.a.matrix, x.b.matrix, transposeA: aT, transposeB: bT, into: x.c.matrix,
            alpha: Float(alpha), beta: Float(beta), bias: bias, precision: precision)
          expectClose(
            x.c.values, x.expected, .products,
            "\(shape), \(aT) \(bT), \(alpha) \(beta), \(precision)")
          #expect(x.c.isIntact)
        }
      }
    }
  }

  @Test(
    arguments: [
      [96, 64, 192], [97, 300, 70], [200, 256, 64], [500, 40, 33], [1, 64, 17001],
      [7, 300, 4001], [50, 1024, 600], [17, 700, 1000],
    ], Precision.allCases)
  func productsHaveEqualBitsOnAnyNumberOfThreads(shape: [Int], precision: Precision) {
    let (m, k, n) = (shape[0], shape[1], shape[2])
    let bias = randomFloats(n, seed: 4)
    for (aT, bT) in [(false, false), (false, true), (true, false)] {
      let results = [1, 2, 3, 8].map { workers in
        let x = ProductCase(rows: m, depth: k, columns: n, aT: aT, bT: bT, padding: 1)
        WorkerPool.run(tasks: 1, workers: workers) { _ in
          gemm(
            x.a.matrix, x.b.matrix, transposeA: aT, transposeB: bT, into: x.c.matrix, bias: bias,
            precision: precision)
        }
        #expect(x.c.isIntact)
        return x.c.values
      }
      for values in results { expectSameBits(values, results[0], "\(shape), \(aT) \(bT)") }
    }
  }

  @Test(arguments: [[1, 3, 5], [4, 3, 5], [33, 65, 17]])
  func whatStoodInTheResultDoesNotMatterWithoutBeta(shape: [Int]) {
    let (m, k, n) = (shape[0], shape[1], shape[2])
    let a = PaddedMatrix(rows: m, columns: k, padding: 0, seed: 4)
    for bT in [false, true] {
      let b = PaddedMatrix(rows: bT ? n : k, columns: bT ? k : n, padding: 0, seed: 5)
      let c = Guarded(count: m * n, value: .nan)
      gemm(
        a.matrix, b.matrix, transposeB: bT, into: Matrix(c.pointer, rows: m, columns: n))
      #expect(c.values.allSatisfy { $0.isFinite })
    }
  }

  @Test func emptyProductsLeaveOrZeroTheResult() {
    let values: [Float] = [1, 2, 3, 4, 5, 6]
    let (x, c) = (Guarded(values), Guarded(values))
    func matrix(_ x: Guarded, _ rows: Int, _ columns: Int) -> Matrix {
      Matrix(x.pointer, rows: rows, columns: columns)
    }
    gemm(matrix(x, 0, 3), matrix(x, 3, 2), into: matrix(c, 0, 2))
    gemm(matrix(x, 2, 3), matrix(x, 3, 0), into: matrix(c, 2, 0))
    gemm(matrix(x, 2, 0), matrix(x, 0, 3), into: matrix(c, 2, 3), beta: 1)
    gemm(matrix(x, 0, 1), matrix(x, 0, 6), transposeA: true, into: matrix(c, 1, 6), beta: 1)
    expectSameBits(c.values, values, "empty products added to a matrix")
    gemm(matrix(x, 2, 0), matrix(x, 0, 3), into: matrix(c, 2, 3))
    expectSameBits(c.values, Array(repeating: 0, count: 6), "an empty product")
  }

  @Test func shapesThatDoNotFitStopTheProgram() async {
    await #expect(processExitsWith: .failure) {
      let values = UnsafeMutablePointer<Float>.allocate(capacity: 64)
      let x = Matrix(values, rows: 2, columns: 3)
      gemm(x, x, into: Matrix(values + 32, rows: 2, columns: 3))
    }
    await #expect(processExitsWith: .failure) {
      _ = Matrix(Buffer(count: 5), rows: 2, columns: 3)
    }
  }

  @Test func blocksAreViewsOfTheSameMemory() {
    let x = Guarded((0..<20).map { Float($0) })
    let matrix = Matrix(x.pointer, rows: 4, columns: 5)
    let block = matrix.block(row: 1, column: 2, rows: 2, columns: 3).block(
      row: 1, column: 1, rows: 1, columns: 2)
    #expect(block.pointer == x.pointer + 13 && block.stride == 5)
    #expect(matrix.isContiguous && block.isContiguous)
    #expect(!matrix.block(column: 1, rows: 2, columns: 2).isContiguous)
    matrix.block(row: 1, column: 1, rows: 2, columns: 3).zero()
    let zeroed = [6, 7, 8, 11, 12, 13]
    expectSameBits(x.values, (0..<20).map { zeroed.contains($0) ? 0 : Float($0) }, "zero")
  }
}
