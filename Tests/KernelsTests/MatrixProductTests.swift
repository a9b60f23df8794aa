import Kernels
import Testing
import VectorLoops
import _TestSupport

/// The products of each instruction set, around the sizes of its tiles and panels.
@Suite struct MatrixProductTests {
  private static let rows = [1, 2, 3, 4, 5, 7, 8, 9, 11, 16, 33]
  private static let depths = [0, 1, 3, 4, 5, 15, 16, 17, 33, 127, 129, 256, 261, 530]
  private static let columns = [1, 3, 4, 5, 15, 16, 17, 31, 32, 33, 50]

  private func multiply(
    _ set: InstructionSet, _ x: ProductCase, aT: Bool, bT: Bool, alpha: Float = 1, beta: Float = 0,
    bias: Input? = nil
  ) {
    let panel = Guarded(count: MatrixProduct.panelCount)
    let (a, b, c) = (x.a.matrix, x.b.matrix, x.c.matrix)
    set.loops.multiply(
      MatrixProduct(
        rows: c.rows, depth: aT ? a.rows : a.columns, columns: c.columns, a: a.pointer,
        aRow: aT ? 1 : a.stride, aColumn: aT ? a.stride : 1, b: b.pointer,
        bRow: bT ? 1 : b.stride, bColumn: bT ? b.stride : 1, c: c.pointer, cRow: c.stride,
        alpha: alpha, beta: beta, bias: bias), panel: panel.pointer)
    #expect(x.c.isIntact && panel.isIntact)
  }

  @Test(arguments: InstructionSet.supported, rows)
  func productsAreRightAroundTheSizesOfTiles(set: InstructionSet, rows: Int) {
    for depth in Self.depths {
      for columns in Self.columns {
        for (aT, bT) in [(false, false), (false, true), (true, false), (true, true)] {
          let x = ProductCase(
            rows: rows, depth: depth, columns: columns, aT: aT, bT: bT, padding: 0)
          multiply(set, x, aT: aT, bT: bT)
          expectClose(
            x.c.values, x.expected, .products, "\(depth) deep, \(columns) columns, \(aT) \(bT)")
        }
      }
    }
  }

  @Test(arguments: InstructionSet.supported, [[1, 64, 37], [6, 40, 70], [19, 300, 39]])
  func factorsBiasAndGapsAreHeeded(set: InstructionSet, shape: [Int]) {
    let (m, k, n) = (shape[0], shape[1], shape[2])
    let bias = randomFloats(n, seed: 4)
    for (aT, bT) in [(false, false), (false, true), (true, false), (true, true)] {
      for (alpha, beta) in [(1.0, 1.0), (-0.5, 0.0), (-0.5, 2.0)] {
        let x = ProductCase(
          rows: m, depth: k, columns: n, aT: aT, bT: bT, padding: 5, alpha: alpha, beta: beta,
          bias: bias)
        multiply(set, x, aT: aT, bT: bT, alpha: Float(alpha), beta: Float(beta), bias: bias)
        expectClose(x.c.values, x.expected, .products, "\(aT) \(bT), \(alpha) \(beta)")
      }
    }
  }
}
