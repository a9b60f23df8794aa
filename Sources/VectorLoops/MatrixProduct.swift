/// A matrix product to carry out, c = alpha * a b + beta * c + bias, over matrices of any layout.
///
/// - Shapes: `a` is `[rows, depth]`, `b` is `[depth, columns]`, `c` is `[rows, columns]`, `bias` is
///   `[columns]`. The rows of `c` have no gaps inside, and so have the rows or the columns of `b`.
public struct MatrixProduct {
  public var rows: Int
  public var depth: Int
  public var columns: Int
  public var a: Input
  /// How far apart the numbers of a column, and of a row, stand in memory.
  public var aRow: Int
  public var aColumn: Int
  public var b: Input
  public var bRow: Int
  public var bColumn: Int
  public var c: Output
  public var cRow: Int
  public var alpha: Float
  public var beta: Float
  public var bias: Input?

  public init(
    rows: Int, depth: Int, columns: Int, a: Input, aRow: Int, aColumn: Int, b: Input, bRow: Int,
    bColumn: Int, c: Output, cRow: Int, alpha: Float = 1, beta: Float = 0, bias: Input? = nil
  ) {
    (self.rows, self.depth, self.columns) = (rows, depth, columns)
    (self.a, self.aRow, self.aColumn) = (a, aRow, aColumn)
    (self.b, self.bRow, self.bColumn) = (b, bRow, bColumn)
    (self.c, self.cRow) = (c, cRow)
    (self.alpha, self.beta, self.bias) = (alpha, beta, bias)
  }

  /// The most of a sum that one panel of `b` holds; longer sums are added up in parts.
  public static let panelDepth = 256
  /// The floats that `VectorLoops.multiply` needs to lay out a panel of `b` and a tile of `c`.
  public static let panelCount = 32 * panelDepth + 256
}
