import Kernels

/// Returns the largest of the newest `width` rows up to each row of its history, number by number;
/// rows before the history are `before`.
///
/// - Shapes: `x` and the result are `[tokens, columns]`, `before` is `[columns]`.
public func slidingMaximum(
  _ x: Tensor, before: Tensor, width: Int, offsets: [Int], on pass: Pass
) -> Tensor {
  let columns = x.columns
  precondition(
    width > 0 && before.count == columns && offsets.last == x.rows,
    "slidingMaximum: \(x.shape) does not fit \(before.shape), width \(width)")
  let y = Tensor(shape: x.shape)
  // The row that each maximum came from; -1 where it is `before`.
  let sources = Tensor(shape: x.shape)
  for s in 0..<(offsets.count - 1) {
    for row in offsets[s]..<offsets[s + 1] {
      let (largest, source) = (y.pointer + row * columns, sources.pointer + row * columns)
      let first = row - width + 1
      if first < offsets[s] {
        largest.update(from: before.pointer, count: columns)
        loops.fill(source, count: columns, value: -1)
      } else {
        loops.fill(largest, count: columns, value: -.infinity)
        loops.fill(source, count: columns, value: Float(first))  // where no number is larger
      }
      for r in max(first, offsets[s])...row {
        loops.takeLarger(
          x.pointer + r * x.matrix.stride, place: Float(r), into: largest, places: source,
          count: columns)
      }
    }
  }
  return pass.result(y, of: [x, before]) { tape in
    { g in
      func forEachNumber(_ body: (_ source: Int, _ column: Int, _ gradient: Float) -> Void) {
        for i in 0..<g.count { body(Int(sources.pointer[i]), i % columns, g.pointer[i]) }
      }
      tape.add(to: x) { place in
        forEachNumber { source, column, gradient in
          if source >= 0 { place.pointer[source * place.stride + column] += gradient }
        }
      }
      tape.add(to: before) { place in
        forEachNumber { source, column, gradient in
          if source < 0 { place.pointer[column] += gradient }
        }
      }
    }
  }
}

/// Returns y[r, k] = bias[k] + sum_j weight[k, j] x[source(r, j)]: a weighted sum of rows for each
/// filter k.
///
/// - Shapes: `x` is `[rows, columns]`, `weight` is `[filters, kernel]`, the oldest tap first, `bias`
///   is `[filters]`, the result is `[taps.rows, filters * columns]`.
public func weightedRows(
  _ x: Tensor, weight: Tensor, bias: Tensor, taps: ConvolutionTaps, on pass: Pass
) -> Tensor {
  let (columns, filters) = (x.columns, weight.rows)
  precondition(
    bias.count == filters && weight.columns == taps.kernel,
    "weightedRows: \(x.shape) does not fit \(weight.shape), \(bias.shape)")
  precondition(
    taps.sources.allSatisfy { $0 >= -1 && $0 < x.rows }, "a tap is outside 0 ..< \(x.rows)")
  let y = Tensor(shape: [taps.rows, filters * columns])
  /// Calls `body` with each row that is read, its filter and tap, and the place in the result.
  func forEachTap(_ body: (_ source: Int, _ filter: Int, _ tap: Int, _ place: Int) -> Void) {
    for (i, source) in taps.sources.enumerated() where source >= 0 {
      for k in 0..<filters {
        body(Int(source), k, i % taps.kernel, (i / taps.kernel * filters + k) * columns)
      }
    }
  }
  for i in 0..<(taps.rows * filters) {
    loops.fill(y.pointer + i * columns, count: columns, value: bias.pointer[i % filters])
  }
  forEachTap { source, k, j, place in
    loops.accumulate(
      x.pointer + source * x.matrix.stride, alpha: weight.pointer[k * weight.matrix.stride + j],
      into: y.pointer + place, count: columns)
  }
  return pass.result(y, of: [x, weight, bias]) { tape in
    { g in
      tape.add(to: x) { dx in
        forEachTap { source, k, j, place in
          loops.accumulate(
            g.pointer + place, alpha: weight.pointer[k * weight.matrix.stride + j],
            into: dx.pointer + source * dx.stride, count: columns)
        }
      }
      tape.add(to: weight) { dWeight in
        forEachTap { source, k, j, place in
          dWeight.pointer[k * dWeight.stride + j] += loops.dot(
            g.pointer + place, x.pointer + source * x.matrix.stride, count: columns)
        }
      }
      tape.add(to: bias) { dBias in
        for i in 0..<(g.rows * filters) {
          dBias.pointer[i % filters] += loops.total(g.pointer + i * columns, count: columns)
        }
      }
    }
  }
}
