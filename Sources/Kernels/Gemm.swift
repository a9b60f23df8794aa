import COpenBLAS
import CProcessor
public import VectorLoops

/// A row-major matrix somewhere in memory, its rows `stride` floats apart.
///
/// It keeps the owner of the memory, where it has one: the memory of a result that nobody else
/// refers to would otherwise go back to the pool, and to another thread, as soon as its address is
/// known.
public struct Matrix {
  public let pointer: UnsafeMutablePointer<Float>
  public let rows: Int
  public let columns: Int
  public let stride: Int
  private let owner: Buffer?

  private init(
    _ pointer: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int, owner: Buffer?
  ) {
    self.pointer = pointer
    self.owner = owner
    self.rows = rows
    self.columns = columns
    self.stride = stride
  }

  /// A matrix in memory that the caller keeps, without gaps unless `stride` says otherwise.
  public init(_ pointer: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
    self.init(pointer, rows: rows, columns: columns, stride: stride ?? columns, owner: nil)
  }

  /// A matrix without gaps in a buffer, from number `offset` on.
  public init(_ buffer: Buffer, from offset: Int = 0, rows: Int, columns: Int) {
    check(offset + rows * columns <= buffer.count, "a matrix is larger than its buffer")
    self.init(
      buffer.pointer + offset, rows: rows, columns: columns, stride: columns, owner: buffer)
  }

  /// Whether the rows follow each other without gaps.
  public var isContiguous: Bool { stride == columns || rows <= 1 }

  /// The block at `row`, `column`, as a view.
  public func block(row: Int = 0, column: Int = 0, rows: Int, columns: Int) -> Matrix {
    Matrix(
      pointer + row * stride + column, rows: rows, columns: columns, stride: stride, owner: owner)
  }

  public func block(_ rows: Range<Int>, _ columns: Range<Int>) -> Matrix {
    block(
      row: rows.lowerBound, column: columns.lowerBound, rows: rows.count, columns: columns.count)
  }

  public func rows(_ range: Range<Int>) -> Matrix {
    block(row: range.lowerBound, rows: range.count, columns: columns)
  }

  public func columns(_ range: Range<Int>) -> Matrix {
    block(column: range.lowerBound, rows: rows, columns: range.count)
  }

  /// The same numbers in rows of another length.
  public func reshaped(rows: Int, columns: Int) -> Matrix {
    check(
      isContiguous && rows * columns == self.rows * self.columns,
      "a matrix with gaps or of another size cannot become [\(rows), \(columns)]")
    return Matrix(pointer, rows: rows, columns: columns, stride: columns, owner: owner)
  }
}

/// c = alpha * a @ b + beta * c + bias, on one thread, where each operand may be read transposed.
///
/// - Shapes: after transposition `a` is `[m, k]`, `b` is `[k, n]`, `c` is `[m, n]`; `bias` is `[n]`.
/// - Parameter precision: what `a` and `b` are rounded to first.
public func gemm(
  _ a: Matrix, _ b: Matrix, transposeA aT: Bool = false, transposeB bT: Bool = false,
  into c: Matrix, alpha: Float = 1, beta: Float = 0, bias: Input? = nil,
  precision: Precision = .float32
) {
  let (m, k) = aT ? (a.columns, a.rows) : (a.rows, a.columns)
  let (bRows, n) = bT ? (b.columns, b.rows) : (b.rows, b.columns)
  check(
    bRows == k && c.rows == m && c.columns == n,
    "gemm: [\(m), \(k)] @ [\(bRows), \(n)] does not give [\(c.rows), \(c.columns)]")
  if m == 0 || n == 0 { return }
  if precision == .bfloat16 && !Precision.hasBFloat16 {
    return gemm(
      a.roundedToBFloat16(), b.roundedToBFloat16(), transposeA: aT, transposeB: bT, into: c,
      alpha: alpha, beta: beta, bias: bias)
  }
  if InstructionSet.current != .baseline || k == 0 {
    let product = MatrixProduct(
      rows: m, depth: k, columns: n, a: a.pointer, aRow: aT ? 1 : a.stride,
      aColumn: aT ? a.stride : 1, b: b.pointer, bRow: bT ? 1 : b.stride,
      bColumn: bT ? b.stride : 1, c: c.pointer, cRow: c.stride, alpha: alpha, beta: beta, bias: bias
    )
    return withExtendedLifetime((a, b, c)) {
      // An empty sum has nothing to round.
      if precision == .bfloat16 && k > 0 {
        carryOut(product) { $0.multiplyInBFloat16() }
      } else {
        carryOut(product) { loops.multiply($0, panel: processor_scratch()) }
      }
    }
  }
  // OpenBLAS has its own loops for processors that we have none for.
  BLAS.prepare
  if m == 1 && !aT {
    // A product of one row reads b once; sgemm would copy all of it first.
    cblas_sgemv(
      CblasRowMajor, bT ? CblasNoTrans : CblasTrans, Int32(b.rows), Int32(b.columns), alpha,
      b.pointer, Int32(max(1, b.stride)), a.pointer, 1, beta, c.pointer, 1)
  } else {
    cblas_sgemm(
      CblasRowMajor, aT ? CblasTrans : CblasNoTrans, bT ? CblasTrans : CblasNoTrans,
      Int32(m), Int32(n), Int32(k), alpha, a.pointer, Int32(max(1, a.stride)), b.pointer,
      Int32(max(1, b.stride)), beta, c.pointer, Int32(max(1, c.stride)))
  }
  if let bias { loops.addBias(bias, to: c.pointer, rows: m, columns: n, stride: c.stride) }
}

/// Carries out a product, on several threads where it is worth it. Its numbers do not depend on each
/// other, and parts are such that they go through the same loops as the whole.
private func carryOut(_ x: MatrixProduct, by multiply: (MatrixProduct) -> Void) {
  let (leastRows, block) = (48, 64)
  if x.rows >= 2 * leastRows && x.rows * x.depth * x.columns >= 1 << 19 {
    return WorkerPool.share(x.rows, least: leastRows) { rows in
      var part = x
      part.rows = rows.count
      part.a += rows.lowerBound * x.aRow
      part.c += rows.lowerBound * x.cRow
      multiply(part)
    }
  }
  // A few rows: to read b takes the time, which may be a large table. With more of them the
  // products do.
  let (work, least) =
    x.rows <= 8 ? (x.depth, 1 << 19) : (x.depth * x.rows, 1 << 21)
  if work * x.columns >= 2 * least {
    let blocks = x.columns / block
    return WorkerPool.share(blocks, least: max(1, least / (block * work))) { shared in
      let first = shared.lowerBound * block
      var part = x
      part.columns = (shared.upperBound == blocks ? x.columns : shared.upperBound * block) - first
      part.b += first * x.bColumn
      part.c += first
      part.bias = x.bias.map { $0 + first }
      multiply(part)
    }
  }
  multiply(x)
}

extension Matrix {
  /// The same numbers without gaps in memory of their own.
  public func copy() -> Matrix {
    let result = Matrix(Buffer(count: rows * columns), rows: rows, columns: columns)
    result.copy(from: self)
    return result
  }

  /// Takes the numbers of another matrix of at least this size.
  public func copy(from other: Matrix) {
    for r in 0..<rows {
      (pointer + r * stride).update(from: other.pointer + r * other.stride, count: columns)
    }
  }

  public func zero() {
    if isContiguous { return pointer.update(repeating: 0, count: rows * columns) }
    for r in 0..<rows { (pointer + r * stride).update(repeating: 0, count: columns) }
  }
}

/// The linear algebra library below.
public enum BLAS {
  /// Leaves the threads to our own pool: each of its workers calls OpenBLAS alone.
  static let prepare: Void = openblas_set_num_threads(1)

  /// The library's version and build options.
  public static var configuration: String { String(cString: openblas_get_config()) }

  /// The processor whose kernels the library chose.
  public static var core: String { String(cString: openblas_get_corename()) }
}
