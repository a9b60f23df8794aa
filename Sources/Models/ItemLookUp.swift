import Autograd

/// Returns scale * table[items], where gradients reach the first `trained` rows alone: the others
/// stand for no item.
///
/// - Shapes: `table` is `[rows, dim]`, the result is `[items.count, dim]`.
func lookUp(
  _ items: [Int32], in table: Tensor, trained: Int, scale: Float = 1, on pass: Pass
) -> Tensor {
  if table.rows == trained { return gather(table, rows: items, scale: scale, on: pass) }
  let own = items.indices.filter { items[$0] < trained }.map { Int32($0) }
  let x = gather(table, rows: own.map { items[Int($0)] }, scale: scale, on: pass)
  let others = gather(table.stopGradient(), rows: items, scale: scale, on: pass)
  for row in own {
    (others.pointer + Int(row) * others.columns).update(repeating: 0, count: others.columns)
  }
  return add(scatter(x, rows: own, count: items.count, on: pass), others, on: pass)
}

extension Tensor {
  /// The first rows of a table, which is the table itself where it has no more.
  func prefix(rows count: Int) -> Tensor { count == rows ? self : block(rows: 0..<count) }
}
