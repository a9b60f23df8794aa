public import Kernels

/// A row-major array of floats that a tape can differentiate through.
///
/// Its memory comes from the buffer pool. A tensor may be a view of another one's rows and columns:
/// a prefix of a weight is trained and read in place.
public final class Tensor {
  /// The numbers as a matrix: vectors are one row, scalars one number.
  public let matrix: Matrix
  private let dimensions: Dimensions
  /// Whether results that depend on this tensor carry gradients to it.
  public var needsGradient: Bool
  /// Whether this tensor outlives the tape: a parameter, or a view of one.
  public let isLeaf: Bool
  let base: Tensor?
  private let storage: Buffer

  /// A shape beside that of the matrix. Most are told without a list, which would be made for each
  /// result of each op.
  private enum Dimensions: Equatable {
    case scalar
    case vector
    case matrix
    case more([Int])

    init(_ shape: [Int]) {
      switch shape.count {
      case 0: self = .scalar
      case 1: self = .vector
      case 2: self = .matrix
      default: self = .more(shape)
      }
    }
  }

  private init(
    rows: Int, columns: Int, dimensions: Dimensions, needsGradient: Bool = false,
    isLeaf: Bool = false
  ) {
    storage = Buffer(count: rows * columns)
    matrix = Matrix(storage, rows: rows, columns: columns)
    self.dimensions = dimensions
    self.needsGradient = needsGradient
    self.isLeaf = isLeaf
    base = nil
  }

  /// Makes a tensor whose numbers are undefined.
  public convenience init(shape: [Int], needsGradient: Bool = false, isLeaf: Bool = false) {
    let (rows, columns) = Self.matrixShape(shape)
    self.init(
      rows: rows, columns: columns, dimensions: Dimensions(shape), needsGradient: needsGradient,
      isLeaf: isLeaf)
  }

  /// The same for the shape `[rows, columns]`.
  public convenience init(rows: Int, columns: Int) {
    self.init(rows: rows, columns: columns, dimensions: .matrix)
  }

  /// The same for the shape of another tensor.
  public convenience init(like other: Tensor) {
    self.init(rows: other.rows, columns: other.columns, dimensions: other.dimensions)
  }

  /// Makes a tensor that holds `values`.
  public convenience init(_ values: [Float], shape: [Int]) {
    precondition(values.count == shape.reduce(1, *), "\(values.count) numbers cannot fill \(shape)")
    self.init(shape: shape)
    values.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { pointer.update(from: start, count: values.count) }
    }
  }

  private init(base: Tensor, matrix: Matrix, dimensions: Dimensions, needsGradient: Bool) {
    self.matrix = matrix
    self.dimensions = dimensions
    self.needsGradient = needsGradient
    isLeaf = base.isLeaf
    self.base = base
    storage = base.storage
  }

  /// Shares the numbers of a result as a leaf of its own: many tapes may differentiate by it, and
  /// what they find goes on through the tape that made the result.
  public init(leaf result: Tensor) {
    precondition(!result.isLeaf && result.base == nil, "only a whole result becomes a leaf")
    matrix = result.matrix
    dimensions = result.dimensions
    needsGradient = result.needsGradient
    isLeaf = true
    base = nil
    storage = result.storage
  }

  public var shape: [Int] {
    switch dimensions {
    case .scalar: return []
    case .vector: return [columns]
    case .matrix: return [rows, columns]
    case .more(let shape): return shape
    }
  }

  /// Whether two tensors have the same shape.
  func isLike(_ other: Tensor) -> Bool {
    rows == other.rows && columns == other.columns && dimensions == other.dimensions
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
      dimensions: dimensions == .scalar || dimensions == .vector ? .vector : .matrix,
      needsGradient: needsGradient)
  }

  /// The same numbers, through which no gradient flows.
  public func stopGradient() -> Tensor {
    Tensor(base: self, matrix: matrix, dimensions: dimensions, needsGradient: false)
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
