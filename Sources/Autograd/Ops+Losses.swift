public import Kernels
import VectorLoops

/// Returns scale * the sum over rows of -sum(q log softmax(hidden table^T + bias)), where q puts 1 -
/// smoothing on the row's target and smoothing / items on every item. See `SoftmaxCrossEntropy`.
///
/// - Shapes: `hidden` is `[rows, dim]`, `table` is `[items, dim]`, `bias` is `[items]`, the result
///   is a scalar.
/// - Parameters:
///   - seen: items whose scores get a margin before the softmax, for each row.
///   - widths: where given, the weighted sum of the losses of the first numbers of states and items.
public func softmaxCrossEntropy(
  _ hidden: Tensor, table: Tensor, bias: Tensor? = nil, targets: [Int32], smoothing: Float = 0,
  seen: SeenItems? = nil, widths: NestedWidths? = nil, scale: Float, on pass: Pass
) -> Tensor {
  precondition(
    targets.count == hidden.rows && targets.allSatisfy { $0 >= 0 && $0 < table.rows },
    "softmaxCrossEntropy: targets do not fit \(hidden.shape), \(table.shape)")
  let loss = Tensor(shape: [])
  let inputs = [hidden, table] + (bias.map { [$0] } ?? [])
  let biasNumbers = bias.map { Input($0.pointer) }
  func find(_ dHidden: Matrix? = nil, _ dTable: Matrix? = nil, _ dBias: Output? = nil) -> Double {
    SoftmaxCrossEntropy(
      sizes: widths?.sizes ?? [table.columns], weights: widths?.weights, scale: scale,
      smoothing: smoothing, precision: pass.precision)(
        hidden: hidden.matrix, table: table.matrix, bias: biasNumbers, targets: targets,
        seen: seen, dHidden: dHidden, dTable: dTable, tableBeta: 0, dBias: dBias)
  }
  guard let tape = pass.tape, inputs.contains(where: tape.wants) else {
    loss.pointer[0] = Float(find())
    return loss
  }
  // The gradients come with the loss, while the logits are there; the pullback only scales them.
  let gradients = inputs.map { tape.wants($0) ? Tensor(shape: $0.shape) : nil }
  let dBias = bias == nil ? nil : gradients[2]
  dBias?.matrix.zero()
  loss.pointer[0] = Float(find(gradients[0]?.matrix, gradients[1]?.matrix, dBias?.pointer))
  return pass.result(loss, of: inputs) { tape in
    { g in
      for (gradient, input) in zip(gradients, inputs) {
        guard let gradient else { continue }
        if g.pointer[0] != 1 {
          loops.scale(
            gradient.pointer, alpha: g.pointer[0], into: gradient.pointer, count: gradient.count)
        }
        tape.add(gradient, to: input)
      }
    }
  }
}

/// Returns scale * the sum over rows of -beta log sigmoid(r+) - sum_j log(1 - sigmoid(r-_j)), where
/// r+ is the score of the row's target and r-_j that of its j-th negative. `beta` is 1 for binary
/// cross-entropy, below 1 for gBCE (Petrov and Macdonald, RecSys 2023).
///
/// - Shapes: `hidden` is `[rows, dim]`, `table` is `[items, dim]`, `bias` is `[items]`, `negatives`
///   is `[rows, n]` in row-major order, the result is a scalar.
public func binaryCrossEntropy(
  _ hidden: Tensor, table: Tensor, bias: Tensor? = nil, targets: [Int32], negatives: [Int32],
  beta: Float = 1, scale: Float, on pass: Pass
) -> Tensor {
  let (rows, dim) = (hidden.rows, hidden.columns)
  precondition(
    targets.count == rows && (rows == 0 || negatives.count % rows == 0), "negatives for each row")
  let width = rows == 0 ? 1 : 1 + negatives.count / rows
  var items: [Int32] = []
  items.reserveCapacity(rows * width)
  for r in 0..<rows {
    items.append(targets[r])
    items += negatives[(r * (width - 1))..<((r + 1) * (width - 1))]
  }
  precondition(items.allSatisfy { $0 >= 0 && $0 < table.rows }, "an item is outside the table")
  let derivatives = Tensor(shape: [rows, width])
  var total = 0.0
  let losses = Buffer(count: width)
  for r in 0..<rows {
    let scores = derivatives.pointer + r * width
    for j in 0..<width {
      let item = Int(items[r * width + j])
      scores[j] =
        loops.dot(
          hidden.pointer + r * hidden.matrix.stride, table.pointer + item * table.matrix.stride,
          count: dim) + (bias?.pointer[item] ?? 0)
    }
    scores[0] = -scores[0]  // -log sigmoid(x) = softplus(-x)
    loops.softplus(scores, losses: losses.pointer, derivatives: scores, count: width)
    losses.pointer[0] *= beta
    scores[0] *= -beta
    for j in 0..<width { total += Double(losses.pointer[j]) }
  }
  let loss = Tensor([Float(total * Double(scale))], shape: [])
  return pass.result(loss, of: [hidden, table] + (bias.map { [$0] } ?? [])) { tape in
    { g in
      let factor = scale * g.pointer[0]
      if let bias {
        tape.add(to: bias) { place in
          for (i, item) in items.enumerated() {
            place.pointer[Int(item)] += factor * derivatives.pointer[i]
          }
        }
      }
      tape.add(to: hidden) { place in
        for r in 0..<rows {
          for j in 0..<width {
            loops.accumulate(
              table.pointer + Int(items[r * width + j]) * table.matrix.stride,
              alpha: factor * derivatives.pointer[r * width + j],
              into: place.pointer + r * place.stride, count: dim)
          }
        }
      }
      guard tape.wants(table) else { return }
      let dTable = Tensor(shape: [rows * width, dim])
      for i in 0..<(rows * width) {
        loops.scale(
          hidden.pointer + (i / width) * hidden.matrix.stride,
          alpha: factor * derivatives.pointer[i], into: dTable.pointer + i * dim, count: dim)
      }
      tape.add(dTable.matrix, toRows: items, of: table)
    }
  }
}
