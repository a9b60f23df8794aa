import Glibc
import Kernels

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

/// Losses that compare a target with negatives j; r are scores.
public enum SampledLoss: Sendable, Equatable {
  /// -log softmax([r_y - log q_y, r_j - log q_j ...])_0 (Jean et al., 2015; TensorFlow's sampled
  /// softmax).
  case softmax
  /// The mean of -log sigmoid(r_y - r_j) (Rendle et al., UAI 2009).
  case bpr
  /// The mean of sigmoid(r_j - r_y) + sigmoid(r_j^2) (Hidasi et al., ICLR 2016).
  case top1
  /// -log sum_j s_j sigmoid(r_y - r_j) + regularization sum_j s_j r_j^2 with s = softmax(r) over
  /// the negatives (Hidasi and Karatzoglou, CIKM 2018).
  case bprMax(regularization: Float)
}

/// Returns scale * the sum over rows of a loss against negatives that all rows share; a negative
/// that is the row's target is left out.
///
/// - Shapes: `hidden` is `[rows, dim]`, `table` is `[items, dim]`, `bias` is `[items]`, the result
///   is a scalar.
public func sampledLoss(
  _ kind: SampledLoss, _ hidden: Tensor, table: Tensor, bias: Tensor? = nil, targets: [Int32],
  negatives: SharedNegatives, scale: Float, on pass: Pass
) -> Tensor {
  precondition(targets.count == hidden.rows, "one target for each row")
  let (rows, dim, samples) = (hidden.rows, hidden.columns, negatives.items.count)
  let precision = pass.precision
  // Column 0 holds the target's score, the others the negatives'; the loss leaves its derivatives.
  let scores = Tensor(shape: [rows, samples + 1])
  let sampled = gather(table, rows: negatives.items, on: .inference)
  let positive = gather(table, rows: targets, on: .inference)
  gemm(
    hidden.matrix, sampled.matrix, transposeB: true,
    into: scores.matrix.block(column: 1, rows: rows, columns: samples), precision: precision)
  let place = Dictionary(
    negatives.items.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
  let isCorrected = kind == .softmax
  let shifts = negatives.items.enumerated().map { j, item in
    (bias?.pointer[Int(item)] ?? 0) - (isCorrected ? negatives.logExpected[j] : 0)
  }
  var total = 0.0
  for r in 0..<rows {
    let row = scores.pointer + r * (samples + 1)
    row[0] =
      loops.dot(hidden.pointer + r * hidden.matrix.stride, positive.pointer + r * dim, count: dim)
      + (bias?.pointer[Int(targets[r])] ?? 0)
      - (isCorrected ? negatives.targetLogExpected(targets[r]) : 0)
    for j in 0..<samples { row[j + 1] += shifts[j] }
    if let hit = place[targets[r]] { row[hit + 1] = leftOut }
    total += Double(kind.loss(row, count: samples + 1, scale: scale))
  }
  let loss = Tensor([Float(total * Double(scale))], shape: [])
  return pass.result(loss, of: [hidden, table] + (bias.map { [$0] } ?? [])) { tape in
    { g in
      loops.scale(scores.pointer, alpha: g.pointer[0], into: scores.pointer, count: scores.count)
      let toNegatives = scores.matrix.block(column: 1, rows: rows, columns: samples)
      tape.accumulate(hidden) { place, beta in
        gemm(toNegatives, sampled.matrix, into: place, beta: beta, precision: precision)
        for r in 0..<rows {
          loops.accumulate(
            positive.pointer + r * dim, alpha: scores.pointer[r * (samples + 1)],
            into: place.pointer + r * place.stride, count: dim)
        }
      }
      if let bias {
        tape.add(to: bias) { place in
          for r in 0..<rows {
            let row = scores.pointer + r * (samples + 1)
            place.pointer[Int(targets[r])] += row[0]
            for (j, item) in negatives.items.enumerated() { place.pointer[Int(item)] += row[j + 1] }
          }
        }
      }
      guard tape.wants(table) else { return }
      let dSampled = Tensor(shape: [samples, dim])
      gemm(
        toNegatives, hidden.matrix, transposeA: true, into: dSampled.matrix, precision: precision)
      tape.add(dSampled.matrix, toRows: negatives.items, of: table)
      // The positives' rows are done with; their memory takes their gradients.
      for r in 0..<rows {
        loops.scale(
          hidden.pointer + r * hidden.matrix.stride, alpha: scores.pointer[r * (samples + 1)],
          into: positive.pointer + r * dim, count: dim)
      }
      tape.add(positive.matrix, toRows: targets, of: table)
    }
  }
}

/// The score of a negative that does not take part.
private let leftOut: Float = -1e30

extension SampledLoss {
  /// Turns scores, the target's first, into `scale` times the derivatives of the loss, and returns
  /// the loss.
  fileprivate func loss(
    _ row: UnsafeMutablePointer<Float>, count: Int, scale: Float
  ) -> Float {
    switch self {
    case .softmax:
      return loops.crossEntropy(row, count: count, target: 0, smoothing: 0, scale: scale)
    case .bpr:
      return pairwise(row, count, scale) { r, target in
        let x = r - target
        return (softplus(x), sigmoid(x), sigmoid(x))
      }
    case .top1:
      return pairwise(row, count, scale) { r, target in
        let (pair, size) = (sigmoid(r - target), sigmoid(r * r))
        let slope = pair * (1 - pair)
        return (pair + size, slope + 2 * r * size * (1 - size), slope)
      }
    case .bprMax(let regularization): return bprMax(row, count, scale, regularization)
    }
  }

  /// The mean over negatives of `term(r_j, r_y)`, which returns its value, its derivative by r_j
  /// and the negative of that by r_y.
  private func pairwise(
    _ row: UnsafeMutablePointer<Float>, _ count: Int, _ scale: Float,
    _ term: (Float, Float) -> (value: Float, slope: Float, fall: Float)
  ) -> Float {
    let target = row[0]
    let taking = (1..<count).count { row[$0] != leftOut }
    let share = 1 / Float(max(1, taking))
    var (total, fall): (Float, Float) = (0, 0)
    for j in 1..<count {
      guard row[j] != leftOut else {
        row[j] = 0
        continue
      }
      let t = term(row[j], target)
      total += t.value
      fall += t.fall
      row[j] = scale * share * t.slope
    }
    row[0] = -scale * share * fall
    return share * total
  }

  private func bprMax(
    _ row: UnsafeMutablePointer<Float>, _ count: Int, _ scale: Float, _ regularization: Float
  ) -> Float {
    let target = row[0]
    let largest = (1..<count).reduce(leftOut) { max($0, row[$1]) }
    guard largest != leftOut else {  // no negative takes part
      for j in 0..<count { row[j] = 0 }
      return 0
    }
    var sum: Float = 0
    for j in 1..<count { sum += exp(row[j] - largest) }
    // A = sum_j s_j sigmoid(r_y - r_j) and the weighted squares.
    var (a, squares): (Float, Float) = (1e-24, 0)
    for j in 1..<count where row[j] != leftOut {
      let s = exp(row[j] - largest) / sum
      a += s * sigmoid(target - row[j])
      squares += s * row[j] * row[j]
    }
    var rise: Float = 0
    for j in 1..<count {
      guard row[j] != leftOut else {
        row[j] = 0
        continue
      }
      let r = row[j]
      let (s, p) = (exp(r - largest) / sum, sigmoid(target - r))
      // The derivative by s_j, less its mean under s, and what r_j does beside s.
      let byWeight = (1 - p / a) + regularization * (r * r - squares)
      let slope = s * p * (1 - p) / a
      rise += slope
      row[j] = scale * (s * byWeight + slope + 2 * regularization * s * r)
    }
    row[0] = -scale * rise
    return -log(a) + regularization * squares
  }
}

private func sigmoid(_ x: Float) -> Float {
  let small = exp(-abs(x))
  return x >= 0 ? 1 / (1 + small) : small / (1 + small)
}

private func softplus(_ x: Float) -> Float { max(x, 0) + log1p(exp(-abs(x))) }
