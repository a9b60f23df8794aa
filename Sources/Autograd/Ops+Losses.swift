import Kernels
import VectorLoops

/// Returns scale * the sum over rows of -sum(q log softmax(hidden table^T)), where q puts 1 -
/// smoothing on the row's target and smoothing / items on every item. See `FusedCrossEntropy`.
///
/// - Shapes: `hidden` is `[rows, dim]`, `table` is `[items, dim]`, the result is a scalar.
public func softmaxCrossEntropy(
  _ hidden: Tensor, table: Tensor, targets: [Int32], smoothing: Float = 0, scale: Float,
  on pass: Pass
) -> Tensor {
  precondition(
    targets.count == hidden.rows && targets.allSatisfy { $0 >= 0 && $0 < table.rows },
    "softmaxCrossEntropy: targets do not fit \(hidden.shape), \(table.shape)")
  let loss = Tensor(shape: [])
  let fused = FusedCrossEntropy(scale: scale, smoothing: smoothing)
  guard let tape = pass.tape, tape.wants(hidden) || tape.wants(table) else {
    loss.pointer[0] = Float(
      fused(hidden: hidden.matrix, table: table.matrix, targets: targets))
    return loss
  }
  // The gradients come with the loss, while the logits are there; the pullback only scales them.
  let dHidden = tape.wants(hidden) ? Tensor(shape: hidden.shape) : nil
  let dTable = tape.wants(table) ? Tensor(shape: table.shape) : nil
  loss.pointer[0] = Float(
    fused(
      hidden: hidden.matrix, table: table.matrix, targets: targets, dHidden: dHidden?.matrix,
      dTable: dTable?.matrix, tableBeta: 0))
  return pass.result(loss, of: [hidden, table]) { tape in
    { g in
      for (gradient, input) in [(dHidden, hidden), (dTable, table)] {
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

/// Items that a batch draws as negatives, and the logarithms of how often each is expected among
/// the draws.
public struct SharedNegatives {
  public let items: [Int32]
  public let logExpected: [Float]
  /// The same for any item as a target.
  public let targetLogExpected: (Int32) -> Float

  public init(
    items: [Int32], logExpected: [Float], targetLogExpected: @escaping (Int32) -> Float
  ) {
    self.items = items
    self.logExpected = logExpected
    self.targetLogExpected = targetLogExpected
  }
}

/// Returns scale * the sum over rows of -log softmax([z_y - log q_y, z_j - log q_j ...])_0 over
/// negatives that all rows share; a negative that is the row's target is left out (Jean et al.,
/// 2015; TensorFlow's sampled softmax).
///
/// - Shapes: `hidden` is `[rows, dim]`, `table` is `[items, dim]`, the result is a scalar.
public func sampledSoftmaxCrossEntropy(
  _ hidden: Tensor, table: Tensor, targets: [Int32], negatives: SharedNegatives, scale: Float,
  on pass: Pass
) -> Tensor {
  precondition(targets.count == hidden.rows, "one target for each row")
  let (rows, dim, samples) = (hidden.rows, hidden.columns, negatives.items.count)
  // Column 0 holds the target's logit, the others the negatives'.
  let logits = Tensor(shape: [rows, samples + 1])
  let sampled = gather(table, rows: negatives.items, on: .inference)
  let positive = gather(table, rows: targets, on: .inference)
  gemm(
    hidden.matrix, sampled.matrix, transposeB: true,
    into: logits.matrix.block(column: 1, rows: rows, columns: samples))
  let place = Dictionary(
    negatives.items.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
  var total = 0.0
  for r in 0..<rows {
    let row = logits.pointer + r * (samples + 1)
    row[0] =
      loops.dot(hidden.pointer + r * hidden.matrix.stride, positive.pointer + r * dim, count: dim)
      - negatives.targetLogExpected(targets[r])
    for j in 0..<samples { row[j + 1] -= negatives.logExpected[j] }
    if let hit = place[targets[r]] { row[hit + 1] = -1e30 }
    total += Double(
      loops.crossEntropy(row, count: samples + 1, target: 0, smoothing: 0, scale: scale))
  }
  let loss = Tensor([Float(total * Double(scale))], shape: [])
  return pass.result(loss, of: [hidden, table]) { tape in
    { g in
      loops.scale(logits.pointer, alpha: g.pointer[0], into: logits.pointer, count: logits.count)
      let toNegatives = logits.matrix.block(column: 1, rows: rows, columns: samples)
      tape.accumulate(hidden) { place, beta in
        gemm(toNegatives, sampled.matrix, into: place, beta: beta)
        for r in 0..<rows {
          loops.accumulate(
            positive.pointer + r * dim, alpha: logits.pointer[r * (samples + 1)],
            into: place.pointer + r * place.stride, count: dim)
        }
      }
      guard tape.wants(table) else { return }
      let dSampled = Tensor(shape: [samples, dim])
      gemm(toNegatives, hidden.matrix, transposeA: true, into: dSampled.matrix)
      tape.add(dSampled.matrix, toRows: negatives.items, of: table)
      // The positives' rows are done with; their memory takes their gradients.
      for r in 0..<rows {
        loops.scale(
          hidden.pointer + r * hidden.matrix.stride, alpha: logits.pointer[r * (samples + 1)],
          into: positive.pointer + r * dim, count: dim)
      }
      tape.add(positive.matrix, toRows: targets, of: table)
    }
  }
}

/// Returns scale * the sum over rows of -beta log sigmoid(r+) - sum_j log(1 - sigmoid(r-_j)), where
/// r+ is the score of the row's target and r-_j that of its j-th negative. `beta` is 1 for binary
/// cross-entropy, below 1 for gBCE (Petrov and Macdonald, RecSys 2023).
///
/// - Shapes: `hidden` is `[rows, dim]`, `table` is `[items, dim]`, `negatives` is `[rows, n]` in
///   row-major order, the result is a scalar.
public func binaryCrossEntropy(
  _ hidden: Tensor, table: Tensor, targets: [Int32], negatives: [Int32], beta: Float = 1,
  scale: Float, on pass: Pass
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
      scores[j] = loops.dot(
        hidden.pointer + r * hidden.matrix.stride,
        table.pointer + Int(items[r * width + j]) * table.matrix.stride, count: dim)
    }
    scores[0] = -scores[0]  // -log sigmoid(x) = softplus(-x)
    loops.softplus(scores, losses: losses.pointer, derivatives: scores, count: width)
    losses.pointer[0] *= beta
    scores[0] *= -beta
    for j in 0..<width { total += Double(losses.pointer[j]) }
  }
  let loss = Tensor([Float(total * Double(scale))], shape: [])
  return pass.result(loss, of: [hidden, table]) { tape in
    { g in
      let factor = scale * g.pointer[0]
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
