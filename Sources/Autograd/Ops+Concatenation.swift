import Kernels

/// Returns the rows of all parts side by side.
///
/// - Shapes: parts are `[rows, ...]`, the result is `[rows, the sum of their columns]`.
public func concatenate(_ parts: [Tensor], on pass: Pass) -> Tensor {
  let columns = parts.reduce(0) { $0 + $1.columns }
  return sideBySide(parts, shape: [parts.first?.rows ?? 0, columns], on: pass)
}

/// Returns row 0 of every part, then row 1 of every part, and so on.
///
/// - Shapes: parts are `[rows, columns]`, the result is `[rows * parts.count, columns]`.
public func interleave(_ parts: [Tensor], on pass: Pass) -> Tensor {
  let (rows, columns) = (parts.first?.rows ?? 0, parts.first?.columns ?? 0)
  precondition(
    parts.allSatisfy { $0.columns == columns }, "interleave: \(parts.map(\.shape)) do not fit")
  return sideBySide(parts, shape: [rows * parts.count, columns], on: pass)
}

/// Both are the same numbers in memory.
private func sideBySide(_ parts: [Tensor], shape: [Int], on pass: Pass) -> Tensor {
  let (rows, width) = (parts.first?.rows ?? 0, parts.reduce(0) { $0 + $1.columns })
  precondition(
    parts.allSatisfy { $0.rows == rows }, "concatenate: \(parts.map(\.shape)) do not fit")
  let y = Tensor(shape: shape)
  var starts: [Int] = []
  var start = 0
  for part in parts {
    for r in 0..<rows {
      (y.pointer + r * width + start).update(
        from: part.pointer + r * part.matrix.stride, count: part.columns)
    }
    starts.append(start)
    start += part.columns
  }
  return pass.result(y, of: parts) { tape in
    { g in
      for (part, start) in zip(parts, starts) where tape.wants(part) {
        let gradient = Tensor(shape: part.shape)
        for r in 0..<rows {
          (gradient.pointer + r * part.columns).update(
            from: g.pointer + r * width + start, count: part.columns)
        }
        tape.add(gradient, to: part)
      }
    }
  }
}
