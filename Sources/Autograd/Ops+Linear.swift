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
  let (rows, out, precision) = (x.rows, weight.rows, pass.precision)
  precondition(x.columns == weight.columns, "linear: \(x.shape) does not fit \(weight.shape)")
  let u = Tensor(rows: rows, columns: out)
  gemm(
    x.matrix, weight.matrix, transposeB: true, into: u.matrix,
    bias: bias.map { Input($0.pointer) }, precision: precision)
  if pass.isInference { return activate(inPlace: u, activation) }
  let (y, pullBack) = activated(u, activation, dropout: dropout, on: pass)
  return pass.result(y, of: [x, weight] + (bias.map { [$0] } ?? [])) { tape in
    { g in
      pullBack(g)
      tape.accumulate(x) { gemm(g.matrix, weight.matrix, into: $0, beta: $1, precision: precision) }
      tape.accumulate(weight) {
        gemm(g.matrix, x.matrix, transposeA: true, into: $0, beta: $1, precision: precision)
      }
      if let bias {
        tape.add(to: bias) {
          loops.addColumnSums(
            of: g.pointer, into: $0.pointer, rows: rows, columns: out, stride: out)
        }
      }
    }
  }
}

/// How the channels of a nested map are laid out: those of the first `sizes[0]` units, then of the
/// next, and so on to `sizes.last`. A map to or from a multiple of the width has several channels a
/// unit, and an array may hold several such planes side by side, as complex numbers do.
public struct NestedShape: Sendable {
  public let sizes: [Int]
  public let inputPlanes: Int
  public let outputPlanes: Int
  /// The units of each level.
  let levels: [Range<Int>]

  public init(sizes: [Int], inputPlanes: Int = 1, outputPlanes: Int = 1) {
    self.sizes = sizes
    self.inputPlanes = inputPlanes
    self.outputPlanes = outputPlanes
    levels = chunks(sizes)
  }
}

/// Returns dropout(activation(y)), where the units of level j of y depend on those of x up to level
/// j alone: y[level j] = x[levels up to j] W_j^T + b_j (Wang et al., "Train Once, Deploy Anywhere",
/// EMNLP Findings 2024). So the first units of y are a map of the first units of x.
///
/// - Shapes: with n units, `x` is `[rows, inputPlanes * i * n]` and the result is `[rows, planes *
///   o * n]`; level j adds c units to s in all: `weights[j]` is `[outputPlanes * o * c, inputPlanes
///   * i * s]` and `biases[j]` is `[outputPlanes * o * c]`, plane by plane.
/// - Parameter planes: the planes of the output to compute; nil for all.
public func nestedLinear(
  _ x: Tensor, shape: NestedShape, weights: [Tensor], biases: [Tensor], planes: Range<Int>? = nil,
  activation: Activation = .none, dropout: Float = 0, on pass: Pass
) -> Tensor {
  let (units, rows, precision) = (shape.sizes.last ?? 0, x.rows, pass.precision)
  let i = x.columns / (shape.inputPlanes * units)
  let o = weights[0].rows / (shape.outputPlanes * shape.sizes[0])
  let planes = planes ?? 0..<shape.outputPlanes
  precondition(
    x.columns == shape.inputPlanes * i * units && weights.count == shape.sizes.count
      && zip(weights, shape.levels).allSatisfy {
        $0.rows == shape.outputPlanes * o * $1.count
          && $0.columns == shape.inputPlanes * i * $1.upperBound
      },
    "nestedLinear: \(x.shape) does not fit \(weights.map(\.shape)) at \(shape.sizes)")
  /// The products that make up a level: what they read, their part of the weight, what they write.
  func forEachProduct(
    _ j: Int, _ x: Matrix, _ y: Matrix, _ body: (Matrix, Range<Int>, Range<Int>, Matrix) -> Void
  ) {
    let chunk = shape.levels[j]
    let (read, written) = (i * chunk.upperBound, o * chunk.count)
    for (place, plane) in planes.enumerated() {
      let part = y.block(
        column: place * o * units + o * chunk.lowerBound, rows: rows, columns: written)
      for p in 0..<shape.inputPlanes {
        body(
          x.block(column: p * i * units, rows: rows, columns: read),
          (plane * written)..<((plane + 1) * written), (p * read)..<((p + 1) * read), part)
      }
    }
  }
  let isPart = planes.count < shape.outputPlanes
  let u = Tensor(rows: rows, columns: planes.count * o * units)
  for j in shape.sizes.indices {
    forEachProduct(j, x.matrix, u.matrix) { x, outputs, inputs, y in
      gemm(
        x, weights[j].matrix.block(outputs, inputs), transposeB: true, into: y,
        beta: inputs.lowerBound == 0 ? 0 : 1,
        bias: inputs.lowerBound == 0 ? Input(biases[j].pointer + outputs.lowerBound) : nil,
        precision: precision)
    }
  }
  if pass.isInference { return activate(inPlace: u, activation) }
  let (y, pullBack) = activated(u, activation, dropout: dropout, on: pass)
  return pass.result(y, of: [x] + weights + biases) { tape in
    { g in
      pullBack(g)
      tape.accumulate(x) { dx, beta in
        // The last level reads all of x, so it comes first.
        for j in shape.sizes.indices.reversed() {
          forEachProduct(j, dx, g.matrix) { dx, outputs, inputs, g in
            let isFirst =
              j == shape.sizes.count - 1 && outputs.lowerBound / outputs.count == planes.lowerBound
            gemm(
              g, weights[j].matrix.block(outputs, inputs), into: dx, beta: isFirst ? beta : 1,
              precision: precision)
          }
        }
      }
      for j in shape.sizes.indices {
        tape.accumulate(weights[j]) { dw, beta in
          // The other planes of the weight have no part in this.
          if isPart && beta == 0 { dw.zero() }
          forEachProduct(j, x.matrix, g.matrix) { x, outputs, inputs, g in
            gemm(
              g, x, transposeA: true, into: dw.block(outputs, inputs), beta: isPart ? 1 : beta,
              precision: precision)
          }
        }
        tape.add(to: biases[j]) { db in
          forEachProduct(j, x.matrix, g.matrix) { _, outputs, inputs, g in
            guard inputs.lowerBound == 0 else { return }
            loops.addColumnSums(
              of: g.pointer, into: db.pointer + outputs.lowerBound, rows: rows,
              columns: g.columns, stride: g.stride)
          }
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
  let (out, positions, precision) = (weight.rows, weight.columns, pass.precision)
  precondition(
    x.rows % positions == 0 && bias.count == out,
    "mixPositions: \(x.shape) does not fit \(weight.shape), \(bias.shape)")
  let width = x.rows / positions * x.columns
  func wide(_ x: Matrix, _ rows: Int) -> Matrix { x.reshaped(rows: rows, columns: width) }
  let u = Tensor(shape: [x.rows / positions * out, x.columns])
  for r in 0..<out {
    loops.fill(u.pointer + r * width, count: width, value: bias.pointer[r])
  }
  gemm(
    weight.matrix, wide(x.matrix, positions), into: wide(u.matrix, out), beta: 1,
    precision: precision)
  if pass.isInference { return activate(inPlace: u, activation) }
  let (y, pullBack) = activated(u, activation, dropout: dropout, on: pass)
  return pass.result(y, of: [x, weight, bias]) { tape in
    { g in
      pullBack(g)
      let du = wide(g.matrix, out)
      tape.accumulate(x) {
        gemm(
          weight.matrix, du, transposeA: true, into: wide($0, positions), beta: $1,
          precision: precision)
      }
      tape.accumulate(weight) {
        gemm(
          du, wide(x.matrix, positions), transposeB: true, into: $0, beta: $1, precision: precision)
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
