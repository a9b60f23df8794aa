import Kernels
public import VectorLoops

/// Returns dropout(activation(x W^T + b)).
///
/// - Shapes: `x` is `[rows, in]`, `weight` is `[out, in]`, `bias` is `[out]`, the result is `[rows,
///   out]`.
public func linear(
  _ x: Tensor, weight: Tensor, bias: Tensor? = nil, activation: Activation = .none,
  dropout: Float = 0, on pass: Pass
) -> Tensor {
  let (rows, out) = (x.rows, weight.rows)
  precondition(x.columns == weight.columns, "linear: \(x.shape) does not fit \(weight.shape)")
  let u = Tensor(shape: [rows, out])
  gemm(x.matrix, weight.matrix, transposeB: true, into: u.matrix)
  if let bias {
    loops.addBias(bias.pointer, to: u.pointer, rows: rows, columns: out, stride: out)
  }
  let scales = pass.dropoutScales(rows: rows, columns: out, probability: dropout)
  let isPlain = activation == .none && scales == nil
  let y = isPlain ? u : Tensor(shape: [rows, out])
  if !isPlain {
    loops.activate(
      u.pointer, activation: activation, scales: scales.map { Input($0.pointer) }, into: y.pointer,
      count: u.count)
  }
  return pass.result(y, of: [x, weight] + (bias.map { [$0] } ?? [])) { tape in
    { [u = isPlain ? nil : u] g in
      if let u {
        loops.activateBackward(
          x: u.pointer, dy: g.pointer, activation: activation,
          scales: scales.map { Input($0.pointer) }, into: g.pointer, count: g.count)
      }
      tape.accumulate(x) { gemm(g.matrix, weight.matrix, into: $0, beta: $1) }
      tape.accumulate(weight) { gemm(g.matrix, x.matrix, transposeA: true, into: $0, beta: $1) }
      if let bias {
        tape.add(to: bias) {
          loops.addColumnSums(
            of: g.pointer, into: $0.pointer, rows: rows, columns: out, stride: out)
        }
      }
    }
  }
}
