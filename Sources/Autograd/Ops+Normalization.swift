import Kernels

/// Returns (x - mean) / sqrt(variance + epsilon) * weight + bias, row by row, with the biased
/// variance (Ba et al., 2016).
///
/// - Shapes: `x` is `[rows, columns]`, `weight` and `bias` are `[columns]`.
/// - Parameter sizes: where the chunks of a row end that are normalised each by itself, ascending
///   to `columns`; nil for whole rows.
public func layerNorm(
  _ x: Tensor, weight: Tensor, bias: Tensor, epsilon: Float, sizes: [Int]? = nil, on pass: Pass
) -> Tensor {
  let (rows, columns) = (x.rows, x.columns)
  precondition(
    weight.count == columns && bias.count == columns && sizes.map { $0.last == columns } ?? true,
    "layerNorm: \(x.shape) does not fit \(weight.shape), \(bias.shape), sizes \(sizes ?? [])")
  let count = sizes?.count ?? 1
  /// Calls `body` with the number, the first column and the columns of each chunk. Single requests
  /// come here, so no list is made of one whole row.
  func forEachChunk(_ body: (Int, Int, Int) -> Void) {
    var start = 0
    for j in 0..<count {
      let end = sizes?[j] ?? columns
      body(j, start, end - start)
      start = end
    }
  }
  let y = Tensor(like: x)
  let statistics = pass.isInference ? nil : Buffer(count: 2 * rows * count)
  forEachChunk { j, start, width in
    let means = statistics.map { $0.pointer + 2 * rows * j }
    loops.layerNorm(
      x.numbers + start, weight: weight.pointer + start, bias: bias.pointer + start,
      epsilon: epsilon, rows: rows, columns: width, stride: columns,
      into: y.pointer + start, means: means, inverses: means.map { $0 + rows })
  }
  guard let statistics else { return y }
  return pass.result(y, of: [x, weight, bias]) { tape in
    { [statistics] g in
      let sums = Buffer(count: 2 * columns)
      loops.fill(sums.pointer, count: 2 * columns, value: 0)
      forEachChunk { j, start, width in
        let means = statistics.pointer + 2 * rows * j
        loops.layerNormBackward(
          x: x.numbers + start, dy: g.pointer + start, weight: weight.pointer + start,
          means: means, inverses: means + rows, rows: rows, columns: width, stride: columns,
          into: g.pointer + start, dWeight: sums.pointer + start,
          dBias: sums.pointer + columns + start)
      }
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
