import VectorLoops

/// Softmax cross-entropy of hidden states against a table of items, fused: logits exist for a few
/// rows at a time, and become their gradient in place.
public struct FusedCrossEntropy {
  /// Each row's loss and gradient are multiplied by this.
  public let scale: Float
  public let smoothing: Float

  public init(scale: Float, smoothing: Float = 0) {
    self.scale = scale
    self.smoothing = smoothing
  }

  /// Rows of logits at a time: as many as stay in a core's cache, but enough for the matrix product,
  /// and at most 32 MB.
  private func chunk(items: Int) -> Int {
    let items = max(1, items)
    return min(256, max(32, (1 << 19) / items), max(8, (8 << 20) / items))
  }

  /// Returns the sum over rows of scale * -sum(q log softmax(h E^T + bias)), in double precision.
  ///
  /// - Shapes: `hidden` and `dHidden` are `[rows, dim]`, `table` and `dTable` are `[items, dim]`,
  ///   `bias` and `dBias` are `[items]`.
  /// - Parameters:
  ///   - dHidden: written, where gradients are wanted.
  ///   - dTable: added to where `tableBeta` is 1, written where it is 0.
  ///   - dBias: added to.
  public func callAsFunction(
    hidden: Matrix, table: Matrix, bias: Input? = nil, targets: UnsafePointer<Int32>,
    dHidden: Matrix? = nil, dTable: Matrix? = nil, tableBeta: Float = 1, dBias: Output? = nil
  ) -> Double {
    var loss = 0.0
    var beta = tableBeta
    if hidden.rows == 0, beta == 0 { dTable?.zero() }
    let rowsAtOnce = chunk(items: table.rows)
    let logits = Buffer(count: min(rowsAtOnce, hidden.rows) * table.rows)
    var start = 0
    while start < hidden.rows {
      let count = min(rowsAtOnce, hidden.rows - start)
      let h = hidden.rows(start..<(start + count))
      let z = Matrix(logits, rows: count, columns: table.rows)
      gemm(h, table, transposeB: true, into: z)
      if let bias {
        loops.addBias(bias, to: z.pointer, rows: count, columns: z.columns, stride: z.stride)
      }
      for r in 0..<count {
        loss += Double(
          rowLoss(
            z.pointer + r * z.stride, z.columns, Int(targets[start + r]),
            dHidden != nil || dTable != nil || dBias != nil))
      }
      if let dBias {
        loops.addColumnSums(
          of: z.pointer, into: dBias, rows: count, columns: z.columns, stride: z.stride)
      }
      if let dHidden { gemm(z, table, into: dHidden.rows(start..<(start + count))) }
      if let dTable {
        gemm(z, h, transposeA: true, into: dTable, beta: beta)
        beta = 1
      }
      start += count
    }
    return loss * Double(scale)
  }

  private func rowLoss(_ row: Output, _ count: Int, _ target: Int, _ wantsGradient: Bool) -> Float {
    wantsGradient
      ? loops.crossEntropy(row, count: count, target: target, smoothing: smoothing, scale: scale)
      : loops.crossEntropyLoss(row, count: count, target: target, smoothing: smoothing)
  }
}
