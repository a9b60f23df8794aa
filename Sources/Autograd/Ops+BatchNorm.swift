import Kernels

/// The mean and the biased variance of each column.
public struct ColumnMoments {
  public let mean: Tensor  // [columns]
  public let variance: Tensor  // [columns]

  public init(mean: Tensor, variance: Tensor) {
    self.mean = mean
    self.variance = variance
  }

  /// Those of x, whose gradient they carry in `batchNorm`.
  public init(of x: Tensor) {
    mean = columnMean(of: x)
    let centred = center(x, mean)
    loops.multiply(centred.pointer, centred.pointer, into: centred.pointer, count: centred.count)
    variance = columnMean(of: centred)
  }
}

/// Returns (x - mean) / sqrt(variance + epsilon) * weight + bias, column by column (Ioffe and Szegedy,
/// 2015).
///
/// The gradient is that with the moments of x itself; given ones are for inference.
///
/// - Shapes: `x` is `[rows, columns]`, `weight` and `bias` are `[columns]`.
public func batchNorm(
  _ x: Tensor, _ moments: ColumnMoments, weight: Tensor, bias: Tensor, epsilon: Float,
  on pass: Pass
) -> Tensor {
  let (rows, columns) = (x.rows, x.columns)
  precondition(
    weight.count == columns && bias.count == columns && moments.mean.count == columns,
    "batchNorm: \(x.shape) does not fit \(weight.shape), \(bias.shape)")
  let inverses = Tensor(shape: [columns])
  for c in 0..<columns {
    inverses.pointer[c] = 1 / (moments.variance.pointer[c] + epsilon).squareRoot()
  }
  let scales = Tensor(shape: [columns])
  loops.multiply(inverses.pointer, weight.pointer, into: scales.pointer, count: columns)
  let y = center(x, moments.mean)
  for r in 0..<rows {
    let row = y.pointer + r * columns
    loops.addResidual(bias.pointer, row, scales: scales.pointer, into: row, count: columns)
  }
  return pass.result(y, of: [x, weight, bias]) { tape in
    { g in
      // With z the normalised x, dz = dy * weight and means over rows,
      // dx = (dz - mean(dz) - z * mean(dz * z)) / sqrt(variance + epsilon).
      let z = center(x, moments.mean)
      let products = Tensor(shape: x.shape)
      for r in 0..<rows {
        let row = r * columns
        loops.multiply(z.pointer + row, inverses.pointer, into: z.pointer + row, count: columns)
        loops.multiply(
          g.pointer + row, z.pointer + row, into: products.pointer + row, count: columns)
      }
      let (meanOfG, meanOfProducts) = (columnMean(of: g), columnMean(of: products))
      for (parameter, mean) in [(weight, meanOfProducts), (bias, meanOfG)] {
        tape.add(to: parameter) {
          loops.accumulate(mean.pointer, alpha: Float(rows), into: $0.pointer, count: columns)
        }
      }
      for r in 0..<rows {
        let (row, own) = (g.pointer + r * columns, z.pointer + r * columns)
        loops.accumulate(meanOfG.pointer, alpha: -1, into: row, count: columns)
        loops.multiply(own, meanOfProducts.pointer, into: own, count: columns)
        loops.accumulate(own, alpha: -1, into: row, count: columns)
        loops.multiply(row, scales.pointer, into: row, count: columns)
      }
      tape.add(g, to: x)
    }
  }
}

private func columnMean(of x: Tensor) -> Tensor {
  let sums = Tensor(shape: [x.columns])
  sums.matrix.zero()
  loops.addColumnSums(
    of: x.numbers, into: sums.pointer, rows: x.rows, columns: x.columns, stride: x.columns)
  loops.scale(
    sums.pointer, alpha: 1 / Float(max(1, x.rows)), into: sums.pointer, count: x.columns)
  return sums
}

/// x - mean.
private func center(_ x: Tensor, _ mean: Tensor) -> Tensor {
  let result = Tensor(shape: x.shape)
  for r in 0..<x.rows {
    let row = result.pointer + r * x.columns
    loops.scale(mean.pointer, alpha: -1, into: row, count: x.columns)
    loops.add(x.numbers + r * x.columns, row, into: row, count: x.columns)
  }
  return result
}
