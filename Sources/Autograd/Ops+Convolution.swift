import Kernels

/// Returns y[r] = bias + sum_j W_j x[source(r, j)]; with the taps of a dilation the causal convolution
/// of WaveNet (van den Oord et al., 2016).
///
/// - Shapes: `x` is `[rows, in]`, `weight` is `[out, kernel * in]` with the columns of the oldest
///   tap first, `bias` is `[out]`, the result is `[taps.rows, out]`.
public func convolution(
  _ x: Tensor, weight: Tensor, bias: Tensor, taps: ConvolutionTaps, on pass: Pass
) -> Tensor {
  precondition(
    weight.columns == taps.kernel * x.columns,
    "convolution: \(x.shape) does not fit \(weight.shape)")
  precondition(
    taps.sources.allSatisfy { $0 >= -1 && $0 < x.rows }, "a tap is outside 0 ..< \(x.rows)")
  let (rows, out, precision) = (taps.rows, weight.rows, pass.precision)
  let y = Tensor(shape: [rows, out])
  gemm(
    unfold(x, taps).matrix, weight.matrix, transposeB: true, into: y.matrix, precision: precision)
  loops.addBias(bias.pointer, to: y.pointer, rows: rows, columns: out, stride: out)
  return pass.result(y, of: [x, weight, bias]) { tape in
    { g in
      // The rows that were read side by side are found again: kept, they would be `kernel` times as
      // large as the input.
      tape.accumulate(weight) {
        gemm(
          g.matrix, unfold(x, taps).matrix, transposeA: true, into: $0, beta: $1,
          precision: precision)
      }
      tape.add(to: bias) {
        loops.addColumnSums(of: g.pointer, into: $0.pointer, rows: rows, columns: out, stride: out)
      }
      tape.add(to: x) { place in
        let read = Tensor(shape: [rows, weight.columns])
        gemm(g.matrix, weight.matrix, into: read.matrix, precision: precision)
        for (i, source) in taps.sources.enumerated() where source >= 0 {
          loops.accumulate(
            read.pointer + i * x.columns, alpha: 1,
            into: place.pointer + Int(source) * place.stride, count: x.columns)
        }
      }
    }
  }
}

/// The rows that a convolution reads, side by side: `[taps.rows, kernel * x.columns]`.
private func unfold(_ x: Tensor, _ taps: ConvolutionTaps) -> Tensor {
  let result = Tensor(shape: [taps.rows, taps.kernel * x.columns])
  for (i, source) in taps.sources.enumerated() {
    let place = result.pointer + i * x.columns
    if source < 0 {
      place.update(repeating: 0, count: x.columns)
    } else {
      place.update(from: x.pointer + Int(source) * x.matrix.stride, count: x.columns)
    }
  }
  return result
}
