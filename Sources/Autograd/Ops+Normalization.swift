import Kernels

/// Returns (x - mean) / sqrt(variance + epsilon) * weight + bias, row by row, with the biased
/// variance (Ba et al., 2016).
///
/// - Shapes: `x` is `[rows, columns]`, `weight` and `bias` are `[columns]`.
public func layerNorm(
  _ x: Tensor, weight: Tensor, bias: Tensor, epsilon: Float, on pass: Pass
) -> Tensor {
  precondition(
    weight.count == x.columns && bias.count == x.columns,
    "layerNorm: \(x.shape) does not fit \(weight.shape), \(bias.shape)")
  let (rows, columns) = (x.rows, x.columns)
  let y = Tensor(like: x)
  let statistics = pass.isInference ? nil : Buffer(count: 2 * rows)
  let means = statistics?.pointer
  loops.layerNorm(
    x.numbers, weight: weight.pointer, bias: bias.pointer, epsilon: epsilon, rows: rows,
    columns: columns, into: y.pointer, means: means, inverses: means.map { $0 + rows })
  guard let statistics else { return y }
  return pass.result(y, of: [x, weight, bias]) { tape in
    { [statistics] g in
      let (means, inverses) = (statistics.pointer, statistics.pointer + rows)
      let sums = Buffer(count: 2 * columns)
      loops.fill(sums.pointer, count: 2 * columns, value: 0)
      loops.layerNormBackward(
        x: x.numbers, dy: g.pointer, weight: weight.pointer, means: means, inverses: inverses,
        rows: rows, columns: columns, into: g.pointer, dWeight: sums.pointer,
        dBias: sums.pointer + columns)
      for (parameter, sum) in [(weight, sums.pointer), (bias, sums.pointer + columns)] {
        tape.add(to: parameter) {
          loops.accumulate(sum, alpha: 1, into: $0.pointer, count: columns)
        }
      }
      tape.add(g, to: x)
    }
  }
}

/// Returns scale * x / max(|x|, 1e-12), row by row.
///
/// - Shapes: `x` is `[rows, columns]`.
public func unitRows(_ x: Tensor, scale: Float = 1, on pass: Pass) -> Tensor {
  let (rows, columns) = (x.rows, x.columns)
  let smallest: Float = 1e-12
  let y = Tensor(shape: x.shape)
  let norms = Buffer(count: rows)
  for r in 0..<rows {
    let row = x.numbers + r * columns
    let norm = max(loops.dot(row, row, count: columns).squareRoot(), smallest)
    norms.pointer[r] = norm
    loops.scale(row, alpha: scale / norm, into: y.pointer + r * columns, count: columns)
  }
  return pass.result(y, of: [x]) { tape in
    { g in
      for r in 0..<rows {
        // With u = x / |x|, dx = scale / |x| * (g - (g . u) u), and y = scale * u.
        let (row, unit) = (g.pointer + r * columns, y.pointer + r * columns)
        let norm = norms.pointer[r]
        let along = norm > smallest ? loops.dot(row, unit, count: columns) : 0
        loops.accumulate(unit, alpha: -along / (scale * scale), into: row, count: columns)
        loops.scale(row, alpha: scale / norm, into: row, count: columns)
      }
      tape.add(g, to: x)
    }
  }
}
