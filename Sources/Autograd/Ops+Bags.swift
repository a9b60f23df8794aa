import Kernels

/// How rows become one.
public enum Pooling: String, Sendable, CaseIterable {
  case sum
  case mean
  /// The largest number of each column.
  case max
}

/// Returns the sum, mean or maximum of the table's rows in each bag, zeros for an empty bag; its
/// gradient touches only those rows.
///
/// - Shapes: `table` is `[count, columns]`, the result is `[offsets.count - 1, columns]`; bag b holds
///   `rows[offsets[b] ..< offsets[b + 1]]`.
public func pool(
  _ table: Tensor, rows: [Int32], offsets: [Int], by pooling: Pooling, on pass: Pass
) -> Tensor {
  precondition(
    offsets.last == rows.count && rows.allSatisfy { $0 >= 0 && $0 < table.rows },
    "pool: a row is outside 0 ..< \(table.rows), or bags do not end at \(rows.count)")
  let columns = table.columns
  let y = Tensor(shape: [offsets.count - 1, columns])
  y.matrix.zero()
  func forEachRow(_ body: (_ bag: Int, _ row: Int, _ share: Float) -> Void) {
    for b in 0..<y.rows {
      let bag = offsets[b]..<offsets[b + 1]
      let share = pooling == .mean ? 1 / Float(bag.count) : 1
      for i in bag { body(b, Int(rows[i]), share) }
    }
  }
  guard pooling == .max else {
    forEachRow { bag, row, share in
      loops.accumulate(
        table.pointer + row * table.matrix.stride, alpha: share, into: y.pointer + bag * columns,
        count: columns)
    }
    return pass.result(y, of: [table]) { tape in
      { g in
        tape.add(to: table) { place in
          forEachRow { bag, row, share in
            loops.accumulate(
              g.pointer + bag * columns, alpha: share, into: place.pointer + row * place.stride,
              count: columns)
          }
        }
      }
    }
  }
  // The row that each number came from, the first of equal ones; -1 in an empty bag.
  var chosen = Array(repeating: Int32(-1), count: y.count)
  forEachRow { bag, row, _ in
    let numbers = table.pointer + row * table.matrix.stride
    for c in 0..<columns {
      let i = bag * columns + c
      if chosen[i] < 0 || numbers[c] > y.pointer[i] {
        (chosen[i], y.pointer[i]) = (Int32(row), numbers[c])
      }
    }
  }
  return pass.result(y, of: [table]) { tape in
    { g in
      tape.add(to: table) { place in
        for (i, row) in chosen.enumerated() where row >= 0 {
          place.pointer[Int(row) * place.stride + i % columns] += g.pointer[i]
        }
      }
    }
  }
}
