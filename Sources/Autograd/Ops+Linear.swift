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
  let u = Tensor(rows: rows, columns: out)
  gemm(
    x.matrix, weight.matrix, transposeB: true, into: u.matrix,
    bias: bias.map { Input($0.pointer) })
  if pass.isInference { return activate(inPlace: u, activation) }
  let (y, pullBack) = activated(u, activation, dropout: dropout, on: pass)
  return pass.result(y, of: [x, weight] + (bias.map { [$0] } ?? [])) { tape in
    { g in
      pullBack(g)
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

/// Returns W x + b over the positions of histories of one length, followed by an activation and
/// dropout: the token mixer of Tolstikhin et al., "MLP-Mixer", NeurIPS 2021.
///
/// Rows stand position by position, those of one position for all histories together, so that one
/// matrix product serves all histories and channels.
///
/// - Shapes: `x` is `[in * histories, dim]`, `weight` is `[out, in]`, `bias` is `[out]`, the result
///   is `[out * histories, dim]`.
public func mixPositions(
  _ x: Tensor, weight: Tensor, bias: Tensor, activation: Activation = .none, dropout: Float = 0,
  on pass: Pass
) -> Tensor {
  let (out, positions) = (weight.rows, weight.columns)
  precondition(
    x.rows % positions == 0 && bias.count == out,
    "mixPositions: \(x.shape) does not fit \(weight.shape), \(bias.shape)")
  let width = x.rows / positions * x.columns
  func wide(_ x: Matrix, _ rows: Int) -> Matrix { x.reshaped(rows: rows, columns: width) }
  let u = Tensor(shape: [x.rows / positions * out, x.columns])
  for r in 0..<out {
    loops.fill(u.pointer + r * width, count: width, value: bias.pointer[r])
  }
  gemm(weight.matrix, wide(x.matrix, positions), into: wide(u.matrix, out), beta: 1)
  if pass.isInference { return activate(inPlace: u, activation) }
  let (y, pullBack) = activated(u, activation, dropout: dropout, on: pass)
  return pass.result(y, of: [x, weight, bias]) { tape in
    { g in
      pullBack(g)
      let du = wide(g.matrix, out)
      tape.accumulate(x) {
        gemm(weight.matrix, du, transposeA: true, into: wide($0, positions), beta: $1)
      }
      tape.accumulate(weight) {
        gemm(du, wide(x.matrix, positions), transposeB: true, into: $0, beta: $1)
      }
      tape.add(to: bias) {
        for r in 0..<out { $0.pointer[r] += loops.total(du.pointer + r * width, count: width) }
      }
    }
  }
}

/// Returns activation(u) in the memory of u.
private func activate(inPlace u: Tensor, _ activation: Activation) -> Tensor {
  if activation != .none {
    WorkerPool.share(u.count, least: 8192) { part in
      let place = u.pointer + part.lowerBound
      loops.activate(place, activation: activation, scales: nil, into: place, count: part.count)
    }
  }
  return u
}

/// Returns dropout(activation(u)), and what turns the gradient of that into the gradient of u, in
/// place.
private func activated(
  _ u: Tensor, _ activation: Activation, dropout: Float, on pass: Pass
) -> (y: Tensor, pullBack: (Tensor) -> Void) {
  let scales = pass.dropoutScales(rows: u.rows, columns: u.columns, probability: dropout)
  if activation == .none && scales == nil { return (u, { _ in }) }
  let y = Tensor(like: u)
  loops.activate(
    u.pointer, activation: activation, scales: scales.map { Input($0.pointer) }, into: y.pointer,
    count: u.count)
  return (
    y,
    { g in
      loops.activateBackward(
        x: u.pointer, dy: g.pointer, activation: activation,
        scales: scales.map { Input($0.pointer) }, into: g.pointer, count: g.count)
    }
  )
}
