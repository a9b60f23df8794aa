public import Kernels

/// A matrix of random numbers inside a wider one of NaN, so that a loop that reads past a row shows.
public struct PaddedMatrix {
  public let matrix: Matrix
  private let memory: Guarded

  public init(rows: Int, columns: Int, padding: Int, seed: UInt64) {
    let stride = columns + padding
    memory = Guarded(count: rows * stride)
    matrix = Matrix(memory.pointer, rows: rows, columns: columns, stride: stride)
    let values = randomFloats(rows * columns, seed: seed, in: -1...1)
    for i in values.indices { memory.pointer[i / columns * stride + i % columns] = values[i] }
  }

  public subscript(row: Int, column: Int) -> Double {
    Double(matrix.pointer[row * matrix.stride + column])
  }

  /// The numbers in row-major order.
  public var values: [Float] {
    (0..<matrix.rows).flatMap { r in (0..<matrix.columns).map { Float(self[r, $0]) } }
  }

  /// Whether nothing was written beside the rows.
  public var isIntact: Bool {
    memory.isIntact
      && (0..<matrix.rows).allSatisfy { r in
        (matrix.columns..<matrix.stride).allSatisfy { self[r, $0].isNaN }
      }
  }
}

/// A product to carry out, and what it should give.
public struct ProductCase {
  public let a, b, c: PaddedMatrix
  public let expected: [Double]

  /// alpha * a @ b + beta * c + bias, with each operand stored as it is or transposed.
  ///
  /// - Parameter precision: what factors are rounded to, to the even one of two.
  public init(
    rows m: Int, depth k: Int, columns n: Int, aT: Bool, bT: Bool, padding: Int,
    alpha: Double = 1, beta: Double = 0, bias: [Float]? = nil, precision: Precision = .float32
  ) {
    let a = PaddedMatrix(rows: aT ? k : m, columns: aT ? m : k, padding: padding, seed: 1)
    let b = PaddedMatrix(rows: bT ? n : k, columns: bT ? k : n, padding: padding, seed: 2)
    let c = PaddedMatrix(rows: m, columns: n, padding: padding, seed: 3)
    (self.a, self.b, self.c) = (a, b, c)
    expected = (0..<(m * n)).map { i in
      let (row, column) = i.quotientAndRemainder(dividingBy: n)
      let product = (0..<k).reduce(0.0) { sum, j in
        let factors = (aT ? a[j, row] : a[row, j], bT ? b[column, j] : b[j, column])
        return sum + factors.0.rounded(to: precision) * factors.1.rounded(to: precision)
      }
      return alpha * product + beta * c[row, column] + Double(bias?[column] ?? 0)
    }
  }
}

extension Double {
  fileprivate func rounded(to precision: Precision) -> Double {
    guard precision == .bfloat16, self != 0 else { return self }
    // Eight significant bits.
    let step = Double(sign: .plus, exponent: Int(exponent) - 7, significand: 1)
    return (self / step).rounded(.toNearestOrEven) * step
  }
}
