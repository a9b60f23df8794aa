import VectorLoops

#if HAS_AVX512
  /// As many columns as leave registers for eight rows.
  private typealias PanelSums = TwoVectors
#else
  private typealias PanelSums = OneVector
#endif

extension Loops {
  public func multiply(_ x: MatrixProduct, panel: Output) {
    var part = x
    var done = 0
    repeat {
      let left = x.depth - done
      part.a = x.a + done * x.aColumn
      part.b = x.b + done * x.bRow
      if takesDots(part, left) {
        part.depth = left & ~(lanes - 1)
        multiplyByDots(part, panel)
      } else {
        part.depth = min(left, MatrixProduct.panelDepth)
        multiplyByPanels(part, panel)
      }
      done += part.depth
      // What follows of long sums is added to what stands there.
      (part.beta, part.bias) = (1, nil)
    } while done < x.depth
  }

  /// Whether few rows make it a waste to lay b out in another order.
  private func takesDots(_ x: MatrixProduct, _ depth: Int) -> Bool {
    guard x.bRow == 1, x.bColumn != 1, x.aColumn == 1, depth >= lanes else { return false }
    #if HAS_AVX512
      return x.rows <= (depth < 128 ? 8 : 32)
    #else
      return x.rows <= 3
    #endif
  }

  /// Sums up products of numbers that stand side by side in a and in b.
  private func multiplyByDots(_ x: MatrixProduct, _ scratch: Output) {
    var column = 0
    while column + FourColumns.columns <= x.columns {
      multiply(FourColumns.self, x, column, x.b + column * x.bColumn, lanes, x.bColumn, scratch)
      column += FourColumns.columns
    }
    while column < x.columns {
      for row in 0..<x.rows {
        let c = x.c + row * x.cRow + column
        var sum = x.alpha * dot(x.a + row * x.aRow, x.b + column * x.bColumn, count: x.depth)
        if let bias = x.bias { sum += bias[column] }
        if x.beta != 0 { sum += x.beta * c[0] }
        c[0] = sum
      }
      column += 1
    }
  }

  /// Takes some columns of b at a time, which are laid out side by side where they are not.
  private func multiplyByPanels(_ x: MatrixProduct, _ panel: Output) {
    var column = 0
    while column < x.columns {
      if x.columns - column > lanes {
        multiplyByPanel(PanelSums.self, x, column, panel)
        column += PanelSums.columns
      } else {
        multiplyByPanel(OneVector.self, x, column, panel)
        column += OneVector.columns
      }
    }
  }

  @inline(__always)
  private func multiplyByPanel<Row: Sums>(
    _ sums: Row.Type, _ x: MatrixProduct, _ column: Int, _ panel: Output
  ) {
    let b = x.b + column * x.bColumn
    let scratch = panel + MatrixProduct.panelDepth * Row.columns
    if x.bColumn == 1 && column + Row.columns <= x.columns {
      return multiply(Row.self, x, column, b, x.bRow, 1, scratch)
    }
    for first in stride(from: 0, to: Row.columns, by: lanes) where column + first < x.columns {
      if x.bColumn == 1 {
        copy(x, column + first, to: panel + first, stride: Row.columns)
      } else {
        transpose(x, column + first, to: panel + first, stride: Row.columns)
      }
    }
    multiply(Row.self, x, column, panel, Row.columns, 1, scratch)
  }

  /// All rows of some columns.
  @inline(__always)
  private func multiply<Row: Sums>(
    _ sums: Row.Type, _ x: MatrixProduct, _ column: Int, _ b: Input, _ bStep: Int, _ bStride: Int,
    _ scratch: Output
  ) {
    var row = 0
    while x.rows - row >= Row.Tallest.rows {
      run(Row.Tallest.self, x, row, column, b, bStep, bStride, scratch)
      row += Row.Tallest.rows
    }
    if Row.Tallest.rows > 4 && x.rows - row >= 4 {
      run(Rows4<Row>.self, x, row, column, b, bStep, bStride, scratch)
      row += 4
    }
    if Row.Tallest.rows > 2 && x.rows - row >= 2 {
      run(Rows2<Row>.self, x, row, column, b, bStep, bStride, scratch)
      row += 2
    }
    if Row.Tallest.rows > 1 && row < x.rows {
      run(OneRow<Row>.self, x, row, column, b, bStep, bStride, scratch)
    }
  }

  /// One tile.
  @inline(__always)
  private func run<T: ProductTile>(
    _ tile: T.Type, _ x: MatrixProduct, _ row: Int, _ column: Int, _ b: Input, _ bStep: Int,
    _ bStride: Int, _ scratch: Output
  ) {
    var tile = T()
    var (a, b) = (x.a + row * x.aRow, b)
    let aStep = T.Row.terms * x.aColumn
    for _ in 0..<(x.depth / T.Row.terms) {
      tile.add(a, x.aRow, T.Row(b, bStride))
      a += aStep
      b += bStep
    }
    if column + T.Row.columns <= x.columns {
      let ending = Ending(alpha: x.alpha, beta: x.beta, bias: x.bias.map { $0 + column })
      tile.write(ending, x.c + row * x.cRow + column, x.cRow)
    } else {
      tile.write(Ending(), scratch, T.Row.columns)
      finish(x, row, T.rows, column, scratch, T.Row.columns)
    }
  }

  /// Writes the sums of a tile that is wider than what is left of c.
  private func finish(
    _ x: MatrixProduct, _ row: Int, _ rows: Int, _ column: Int, _ sums: Input, _ width: Int
  ) {
    for r in 0..<rows {
      let c = x.c + (row + r) * x.cRow
      for start in stride(from: column, to: x.columns, by: lanes) {
        let end = min(start + lanes, x.columns)
        var v = x.alpha * load(sums, r * width + start - column)
        if let bias = x.bias { v += loadPart(bias, start, end) }
        if x.beta != 0 { v += x.beta * loadPart(c, start, end) }
        storePart(v, c, start, end)
      }
    }
  }

  /// Lays the last columns of b out where whole vectors of them may be read.
  private func copy(_ x: MatrixProduct, _ column: Int, to panel: Output, stride: Int) {
    let end = min(column + lanes, x.columns)
    for p in 0..<x.depth {
      store(loadPart(x.b + p * x.bRow, column, end), panel, p * stride)
    }
  }

  /// Lays out 16 columns of b, each of which has its numbers side by side.
  ///
  /// Where there are fewer, the last one stands in for those that are missing: nobody reads their
  /// sums.
  private func transpose(_ x: MatrixProduct, _ column: Int, to panel: Output, stride: Int) {
    let b = x.b + column * x.bColumn
    let last = x.columns - column - 1
    if last >= lanes - 1 {
      transpose(b, x.depth, panel, stride) { $0 * x.bColumn }
    } else {
      transpose(b, x.depth, panel, stride) { min($0, last) * x.bColumn }
    }
  }

  @inline(__always)
  private func transpose(
    _ b: Input, _ depth: Int, _ panel: Output, _ stride: Int, _ place: (Int) -> Int
  ) {
    var (b, out) = (b, panel)
    for _ in 0..<(depth / 4) {
      @_transparent func fours(_ i: Int) -> Vector {
        loadFours(b + place(i), b + place(i + 4), b + place(i + 8), b + place(i + 12))
      }
      // Number p of a four is that of depth p; the fours are those of columns 4 apart.
      let (v0, v1, v2, v3) = transposed(fours(0), fours(1), fours(2), fours(3))
      store(v0, out, 0)
      store(v1, out, stride)
      store(v2, out, 2 * stride)
      store(v3, out, 3 * stride)
      b += 4
      out += 4 * stride
    }
    for _ in 0..<(depth % 4) {
      for i in 0..<lanes { out[i] = b[place(i)] }
      b += 1
      out += stride
    }
  }
}
