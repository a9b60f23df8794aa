import Kernels

/// Returns scale * table[rows], the look-up of embeddings; its gradient touches only those rows.
///
/// - Shapes: `table` is `[count, columns]`, the result is `[rows.count, columns]`.
public func gather(_ table: Tensor, rows: [Int32], scale: Float = 1, on pass: Pass) -> Tensor {
  precondition(
    rows.allSatisfy { $0 >= 0 && $0 < table.rows }, "gather: a row is outside 0 ..< \(table.rows)")
  let columns = table.columns
  let y = Tensor(rows: rows.count, columns: columns)
  for (i, row) in rows.enumerated() {
    let source = table.pointer + Int(row) * table.matrix.stride
    if scale == 1 {
      (y.pointer + i * columns).update(from: source, count: columns)
    } else {
      loops.scale(source, alpha: scale, into: y.pointer + i * columns, count: columns)
    }
  }
  if pass.isInference { return y }
  return pass.result(y, of: [table]) { tape in
    { g in tape.add(g.matrix, alpha: scale, toRows: rows, of: table) }
  }
}

/// Returns `count` rows of zeros with row i of x at `rows[i]`; the rows are distinct.
///
/// - Shapes: `x` is `[rows.count, columns]`, the result is `[count, columns]`.
public func scatter(_ x: Tensor, rows: [Int32], count: Int, on pass: Pass) -> Tensor {
  precondition(
    rows.count == x.rows && rows.allSatisfy { $0 >= 0 && $0 < count },
    "scatter: a row is outside 0 ..< \(count)")
  let columns = x.columns
  let y = Tensor(shape: [count, columns])
  y.matrix.zero()
  for (i, row) in rows.enumerated() {
    (y.pointer + Int(row) * columns).update(from: x.pointer + i * x.matrix.stride, count: columns)
  }
  return pass.result(y, of: [x]) { tape in
    { g in
      let dx = Tensor(shape: x.shape)
      for (i, row) in rows.enumerated() {
        (dx.pointer + i * columns).update(from: g.pointer + Int(row) * columns, count: columns)
      }
      tape.add(dx, to: x)
    }
  }
}
