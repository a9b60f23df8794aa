/// How a loop reads and writes one vector of columns.
protocol Lane {
  func read(_ row: UnsafePointer<Float>, _ column: Int) -> Vector
  func write(_ v: Vector, _ row: UnsafeMutablePointer<Float>, _ column: Int)
}

struct WholeLane: Lane {
  @_transparent
  func read(_ row: UnsafePointer<Float>, _ column: Int) -> Vector { load(row, column) }
  @_transparent
  func write(_ v: Vector, _ row: UnsafeMutablePointer<Float>, _ column: Int) {
    store(v, row, column)
  }
}

/// The last columns of rows of `columns` numbers, filled up with zeros.
struct LastLane: Lane {
  let columns: Int

  @_transparent
  func read(_ row: UnsafePointer<Float>, _ column: Int) -> Vector {
    loadPart(row, column, columns)
  }
  @_transparent
  func write(_ v: Vector, _ row: UnsafeMutablePointer<Float>, _ column: Int) {
    storePart(v, row, column, columns)
  }
}

/// What a loop does to the columns of one vector, for as many rows and arrays as it needs.
protocol Tile {
  func callAsFunction(_ lane: some Lane, _ column: Int)
}

@inline(__always)
func forEachTile(of columns: Int, _ tile: some Tile) {
  let whole = columns & ~(lanes - 1)
  var column = 0
  while column < whole {
    tile(WholeLane(), column)
    column += lanes
  }
  if column < columns { tile(LastLane(columns: columns), column) }
}
