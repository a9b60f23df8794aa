public import Kernels

/// A row-major array of floats that a tape can differentiate through.
///
/// Its memory comes from the buffer pool. A tensor may be a view of another one's rows and columns:
/// a prefix of a weight is trained and read in place.
public final class Tensor {
  public let shape: [Int]
  /// The numbers as a matrix: vectors are one row, scalars one number.
  public let matrix: Matrix
  /// Whether results that depend on this tensor carry gradients to it.
  public var needsGradient: Bool
  /// Whether this tensor outlives the tape: a parameter, or a view of one.
  public let isLeaf: Bool
  let base: Tensor?
  private let storage: Buffer

  /// Makes a tensor whose numbers are undefined.
  public init(shape: [Int], needsGradient: Bool = false, isLeaf: Bool = false) {
    self.shape = shape
    let (rows, columns) = Self.matrixShape(shape)
    storage = Buffer(count: rows * columns)
    matrix = Matrix(storage, rows: rows, columns: columns)
    self.needsGradient = needsGradient
    self.isLeaf = isLeaf
    base = nil
  }

  /// Makes a tensor that holds `values`.
  public convenience init(_ values: [Float], shape: [Int]) {
    precondition(values.count == shape.reduce(1, *), "\(values.count) numbers cannot fill \(shape)")
    self.init(shape: shape)
    values.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { pointer.update(from: start, count: values.count) }
    }
  }

  private init(base: Tensor, matrix: Matrix, shape: [Int], needsGradient: Bool) {
    self.shape = shape
    self.matrix = matrix
    self.needsGradient = needsGradient
    isLeaf = base.isLeaf
    self.base = base
    storage = base.storage
  }

  /// Shares the numbers of a result as a leaf of its own: many tapes may differentiate by it, and
  /// what they find goes on through the tape that made the result.
  public init(leaf result: Tensor) {
    precondition(!result.isLeaf && result.base == nil, "only a whole result becomes a leaf")
    shape = result.shape
    matrix = result.matrix
    needsGradient = result.needsGradient
    isLeaf = true
    base = nil
    storage = result.storage
  }

  static func matrixShape(_ shape: [Int]) -> (rows: Int, columns: Int) {
    guard let columns = shape.last else { return (1, 1) }
    return (shape.dropLast().reduce(1, *), columns)
  }

  /// Where the numbers begin; rows are `matrix.stride` apart.
  public var pointer: UnsafeMutablePointer<Float> { matrix.pointer }

  /// Where the numbers begin, for loops that take them to stand without gaps.
  ///
  /// A view of some columns has gaps: only `linear`, `gather`, the losses and attention read those.
  var numbers: UnsafeMutablePointer<Float> {
    precondition(matrix.isContiguous, "this op reads whole rows, got a view of columns \(shape)")
    return matrix.pointer
  }

  public var rows: Int { matrix.rows }
  public var columns: Int { matrix.columns }
  public var count: Int { matrix.rows * matrix.columns }

  /// The numbers in row-major order.
  public var values: [Float] {
    if matrix.isContiguous { return Array(UnsafeBufferPointer(start: pointer, count: count)) }
    return (0..<rows).flatMap { r in
      UnsafeBufferPointer(start: pointer + r * matrix.stride, count: columns)
    }
  }

  /// A view of a block of rows and columns, which shares memory and gradient with this tensor.
  public func block(rows rowRange: Range<Int>? = nil, columns columnRange: Range<Int>? = nil)
    -> Tensor
  {
    let r = rowRange ?? 0..<rows
    let c = columnRange ?? 0..<columns
    precondition(
      r.lowerBound >= 0 && r.upperBound <= rows && c.lowerBound >= 0 && c.upperBound <= columns,
      "block: rows \(r), columns \(c) are not inside \(shape)")
    return Tensor(
      base: self,
      matrix: matrix.block(
        row: r.lowerBound, column: c.lowerBound, rows: r.count, columns: c.count),
      shape: shape.count < 2 ? [c.count] : [r.count, c.count], needsGradient: needsGradient)
  }

  /// The same numbers, through which no gradient flows.
  public func stopGradient() -> Tensor {
    Tensor(base: self, matrix: matrix, shape: shape, needsGradient: false)
  }

  /// Where the numbers of this view stand in its base.
  func view(in other: Matrix) -> Matrix {
    guard let base else { return other }
    let distance = pointer - base.pointer
    let outer = base.base == nil ? other : base.view(in: other)
    let (row, column) =
      distance == 0 ? (0, 0) : distance.quotientAndRemainder(dividingBy: base.matrix.stride)
    return outer.block(row: row, column: column, rows: rows, columns: columns)
  }

  /// The tensor at the bottom of a chain of views, which owns the gradient.
  var owner: Tensor { base?.owner ?? self }
}
