import Kernels
import Testing
import _TestSupport

/// Products whose factors are rounded to bfloat16: by the processor where it can, else before a
/// product in float32.
@Suite struct PrecisionTests {
  @Test(
    arguments: [
      (1, 1), (0, 0), (-1.0078125, -1.0078125),
      // Ties go to the even neighbour: a step is 1 / 128 between 1 and 2.
      (1 + 1 / 256, 1), (1 + 3 / 256, 1 + 1 / 64), (-1 - 1 / 256, -1), (2 - 1 / 256, 2),
      (1 + 1 / 256 + 1 / 65536, 1 + 1 / 128), (3.14159265, 3.140625), (1e-30, 0x1.44p-100),
      (.infinity, .infinity), (.greatestFiniteMagnitude, .infinity), (-3.3961775e38, -.infinity),
    ] as [(Float, Float)])
  func numbersAreRoundedToTheNearest(_ x: Float, _ expected: Float) {
    let matrix = PaddedMatrix(rows: 2, columns: 3, padding: 1, seed: 1)
    matrix.matrix.pointer[5] = x  // row 1, column 1
    let rounded = matrix.matrix.roundedToBFloat16()
    #expect(rounded.pointer[4] == expected && matrix.matrix.pointer[5] == x)
    #expect(rounded.isContiguous && rounded.pointer[0] != matrix.matrix.pointer[0])
  }

  @Test(arguments: [Float.nan, Float(bitPattern: 0x7f80_0001), Float(bitPattern: 0xffff_ffff)])
  func whatIsNoNumberStaysNone(_ x: Float) {
    let matrix = Matrix(Buffer(count: 1), rows: 1, columns: 1)
    matrix.pointer[0] = x
    #expect(matrix.roundedToBFloat16().pointer[0].isNaN)
  }

  private static let rows = [1, 2, 7, 8, 9, 17, 65]
  private static let depths = [1, 2, 3, 31, 32, 33, 64, 255, 256, 257, 520]
  private static let columns = [1, 15, 16, 17, 31, 32, 33, 70]

  @Test(arguments: rows)
  func productsAreThoseOfRoundedFactors(rows: Int) {
    for depth in Self.depths {
      for columns in Self.columns {
        for (aT, bT) in [(false, false), (false, true), (true, false), (true, true)] {
          let x = ProductCase(
            rows: rows, depth: depth, columns: columns, aT: aT, bT: bT, padding: 0,
            precision: .bfloat16)
          gemm(
            x.a.matrix, x.b.matrix, transposeA: aT, transposeB: bT, into: x.c.matrix,
            precision: .bfloat16)
          expectClose(
            x.c.values, x.expected, .products, "\(depth) deep, \(columns) columns, \(aT) \(bT)")
          #expect(x.c.isIntact)
        }
      }
    }
  }

  @Test func whatIsNoNumberOrWithoutBoundComesThrough() {
    for (value, isExpected) in [
      (Float.nan, { $0.isNaN }), (Float.infinity, { $0 == .infinity }),
    ] as [(Float, (Float) -> Bool)] {
      let (a, b) = (Matrix(Buffer(count: 5), rows: 1, columns: 5), Buffer(count: 5))
      let c = Matrix(Buffer(count: 1), rows: 1, columns: 1)
      for i in 0..<5 { (a.pointer[i], b.pointer[i]) = (1, 1) }
      a.pointer[3] = value
      gemm(a, Matrix(b, rows: 5, columns: 1), into: c, precision: .bfloat16)
      #expect(isExpected(c.pointer[0]))
    }
  }

  @Test func emptySumsAreZero() {
    let c = Guarded(count: 6, value: .nan)
    let empty = Matrix(c.pointer, rows: 2, columns: 0)
    gemm(
      empty, Matrix(c.pointer, rows: 0, columns: 3), into: Matrix(c.pointer, rows: 2, columns: 3),
      precision: .bfloat16)
    #expect(c.values.allSatisfy { $0 == 0 })
  }

  private func random(_ rows: Int, _ columns: Int, seed: UInt64) -> Matrix {
    let result = Matrix(Buffer(count: rows * columns), rows: rows, columns: columns)
    for (i, x) in randomFloats(rows * columns, seed: seed, in: -1...1).enumerated() {
      result.pointer[i] = x
    }
    return result
  }

  @Test func aLossIsThatOfRoundedStatesAndItems() {
    let (rows, items, dim) = (37, 301, 24)
    let (hidden, table) = (random(rows, dim, seed: 1), random(items, dim, seed: 2))
    let targets = (0..<rows).map { Int32($0 * 7 % items) }
    func loss(_ hidden: Matrix, _ table: Matrix, _ precision: Precision) -> Double {
      SoftmaxCrossEntropy(sizes: [dim], scale: 1 / Float(rows), precision: precision)(
        hidden: hidden, table: table, targets: targets)
    }
    let rounded = loss(hidden.roundedToBFloat16(), table.roundedToBFloat16(), .float32)
    let found = loss(hidden, table, .bfloat16)
    expectClose([Float(found)], [rounded], .loss, "loss")
    #expect(abs(loss(hidden, table, .float32) - rounded) > 1e-5)
  }
}
