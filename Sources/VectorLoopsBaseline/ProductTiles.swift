import VectorLoops

// A tile is the part of a product that stays in registers while its sums grow. Its height is built of
// types, so that no loop is left over its rows.

/// The sums of one row of a tile.
protocol Sums {
  /// As many rows as the registers hold.
  associatedtype Tallest: ProductTile where Tallest.Row == Self
  /// How many columns of c.
  static var columns: Int { get }
  /// How many terms one step adds to each sum.
  static var terms: Int { get }
  init()
  /// Takes numbers of b, whose columns stand `stride` apart.
  init(_ b: Input, _ stride: Int)
  /// Adds the products of numbers of a and of b.
  mutating func add(_ a: Input, _ b: Self)
  func write(_ ending: Ending, _ c: Output)
}

/// What becomes of sums: c = alpha * sums + beta * c + bias.
struct Ending {
  var alpha: Float = 1
  var beta: Float = 0
  var bias: Input?

  @_transparent
  func write(_ sums: Vector, _ c: Output, _ column: Int) {
    var v = alpha * sums
    if let bias { v += load(bias, column) }
    if beta != 0 { v += beta * load(c, column) }
    store(v, c, column)
  }

  @_transparent
  func write(_ sums: Four, _ c: Output) {
    var v = alpha * sums
    if let bias { v += loadFour(bias) }
    if beta != 0 { v += beta * loadFour(c) }
    storeFour(v, c)
  }
}

/// 16 columns, which stand side by side in b.
struct OneVector: Sums {
  #if HAS_FMA
    typealias Tallest = Stack<Rows4<OneVector>, Rows2<OneVector>>
  #else
    typealias Tallest = Rows2<OneVector>
  #endif
  private var v: Vector

  @_transparent static var columns: Int { lanes }
  @_transparent static var terms: Int { 1 }
  @_transparent init() { v = .zero }
  @_transparent init(_ b: Input, _ stride: Int) { v = load(b, 0) }

  @_transparent mutating func add(_ a: Input, _ b: OneVector) {
    v = fma(Vector(repeating: a[0]), b.v, v)
  }

  @_transparent func write(_ ending: Ending, _ c: Output) { ending.write(v, c, 0) }
}

/// 32 columns, which stand side by side in b.
struct TwoVectors: Sums {
  typealias Tallest = Stack<Rows4<TwoVectors>, Rows4<TwoVectors>>
  private var low: Vector
  private var high: Vector

  @_transparent static var columns: Int { 2 * lanes }
  @_transparent static var terms: Int { 1 }
  @_transparent init() { (low, high) = (.zero, .zero) }
  @_transparent init(_ b: Input, _ stride: Int) { (low, high) = (load(b, 0), load(b, lanes)) }

  @_transparent mutating func add(_ a: Input, _ b: TwoVectors) {
    let factor = Vector(repeating: a[0])
    low = fma(factor, b.low, low)
    high = fma(factor, b.high, high)
  }

  @_transparent func write(_ ending: Ending, _ c: Output) {
    ending.write(low, c, 0)
    ending.write(high, c, lanes)
  }
}

/// Four columns, each of which stands in b without gaps: sixteen parts of each sum.
struct FourColumns: Sums {
  #if HAS_AVX512
    typealias Tallest = Rows4<FourColumns>
  #else
    typealias Tallest = OneRow<FourColumns>
  #endif
  private var v0: Vector
  private var v1: Vector
  private var v2: Vector
  private var v3: Vector

  @_transparent static var columns: Int { 4 }
  @_transparent static var terms: Int { lanes }
  @_transparent init() { (v0, v1, v2, v3) = (.zero, .zero, .zero, .zero) }
  @_transparent init(_ b: Input, _ stride: Int) {
    (v0, v1) = (load(b, 0), load(b, stride))
    (v2, v3) = (load(b, 2 * stride), load(b, 3 * stride))
  }

  @_transparent mutating func add(_ a: Input, _ b: FourColumns) {
    let factor = load(a, 0)
    v0 = fma(factor, b.v0, v0)
    v1 = fma(factor, b.v1, v1)
    v2 = fma(factor, b.v2, v2)
    v3 = fma(factor, b.v3, v3)
  }

  @_transparent func write(_ ending: Ending, _ c: Output) {
    ending.write(sums(v0, v1, v2, v3), c)
  }
}

protocol ProductTile {
  associatedtype Row: Sums
  static var rows: Int { get }
  init()
  mutating func add(_ a: Input, _ aRow: Int, _ b: Row)
  func write(_ ending: Ending, _ c: Output, _ cRow: Int)
}

struct OneRow<Row: Sums>: ProductTile {
  private var sums: Row

  @_transparent static var rows: Int { 1 }
  @_transparent init() { sums = Row() }
  @_transparent mutating func add(_ a: Input, _ aRow: Int, _ b: Row) { sums.add(a, b) }
  @_transparent func write(_ ending: Ending, _ c: Output, _ cRow: Int) { sums.write(ending, c) }
}

/// One tile on top of another.
struct Stack<Top: ProductTile, Bottom: ProductTile>: ProductTile where Top.Row == Bottom.Row {
  private var top: Top
  private var bottom: Bottom

  @_transparent static var rows: Int { Top.rows + Bottom.rows }
  @_transparent init() { (top, bottom) = (Top(), Bottom()) }

  @_transparent mutating func add(_ a: Input, _ aRow: Int, _ b: Top.Row) {
    top.add(a, aRow, b)
    bottom.add(a + Top.rows * aRow, aRow, b)
  }

  @_transparent func write(_ ending: Ending, _ c: Output, _ cRow: Int) {
    top.write(ending, c, cRow)
    bottom.write(ending, c + Top.rows * cRow, cRow)
  }
}

typealias Rows2<Row: Sums> = Stack<OneRow<Row>, OneRow<Row>>
typealias Rows4<Row: Sums> = Stack<Rows2<Row>, Rows2<Row>>
