import Glibc
import Kernels

/// Returns averages of what each history holds so far, y_t = sum over u <= t of
/// softmax(scores_0 ... scores_t)_u x_u; every item counts alike where there are no scores.
///
/// With w_t the weight of the newest row, y_t = (1 - w_t) y_(t-1) + w_t x_t, so both directions are
/// linear in the length.
///
/// - Shapes: `x` and the result are `[tokens, dim]`, `scores` is `[tokens, 1]`; history s owns rows
///   `offsets[s] ..< offsets[s + 1]`.
public func runningAverage(
  _ x: Tensor, scores: Tensor? = nil, offsets: [Int], on pass: Pass
) -> Tensor {
  let dim = x.columns
  precondition(
    offsets.last == x.rows && scores?.count ?? x.rows == x.rows,
    "runningAverage: offsets do not end at \(x.rows), or scores are not as many")
  let weights = newestWeights(scores, offsets)
  let y = Tensor(shape: x.shape)
  for (start, end) in zip(offsets, offsets.dropFirst()) {
    for t in start..<end {
      let row = y.pointer + t * dim
      loops.scale(x.numbers + t * dim, alpha: weights[t], into: row, count: dim)
      if t > start { loops.accumulate(row - dim, alpha: 1 - weights[t], into: row, count: dim) }
    }
  }
  return pass.result(y, of: [x] + (scores.map { [$0] } ?? [])) { tape in
    { g in
      // With G_t = g_t + (1 - w_(t+1)) G_(t+1), dx_t = w_t G_t. The same sum b_t of the numbers
      // g_t . y_t gives the gradient of score t, w_t (x_t . G_t - b_t).
      let dScores = scores.map { Tensor(shape: $0.shape) }
      for (start, end) in zip(offsets, offsets.dropFirst()) {
        var b = 0.0
        for t in (start..<end).reversed() {
          let row = g.pointer + t * dim
          let rest = t + 1 < end ? 1 - weights[t + 1] : 0
          let product = loops.dot(row, y.pointer + t * dim, count: dim)
          if t + 1 < end { loops.accumulate(row + dim, alpha: rest, into: row, count: dim) }
          guard let dScores else { continue }
          b = Double(product) + Double(rest) * b
          let own = loops.dot(row, x.numbers + t * dim, count: dim)
          dScores.pointer[t] = weights[t] * Float(Double(own) - b)
        }
      }
      for t in 0..<g.rows {
        loops.scale(
          g.pointer + t * dim, alpha: weights[t], into: g.pointer + t * dim, count: dim)
      }
      tape.add(g, to: x)
      if let scores, let dScores { tape.add(dScores, to: scores) }
    }
  }
}

/// The weight of each row among those of its history up to it.
private func newestWeights(_ scores: Tensor?, _ offsets: [Int]) -> [Float] {
  zip(offsets, offsets.dropFirst()).flatMap { start, end -> [Float] in
    guard let scores else { return (0..<(end - start)).map { 1 / Float($0 + 1) } }
    // log(sum of exp(score)) so far, which no score makes overflow.
    var logSum = -Double.infinity
    return (start..<end).map { t in
      let score = Double(scores.numbers[t])
      let lead = score - logSum
      logSum = max(score, logSum) + log1p(exp(-abs(lead)))
      return Float(1 / (1 + exp(-lead)))
    }
  }
}
