import Kernels

/// Returns the sum of products of all pairs of the newest `length` rows up to each row of its
/// history, ((sum of x)^2 - sum of x^2) / 2 number by number (He and Chua, "Neural Factorization
/// Machines for Sparse Predictive Analytics", SIGIR 2017).
///
/// Pairs are added as rows come, x times the sum of the rows before it, so nothing cancels.
///
/// - Shapes: `x` and the result are `[tokens, columns]`; history s owns rows `offsets[s] ..<
///   offsets[s + 1]`.
public func biInteraction(_ x: Tensor, length: Int, offsets: [Int], on pass: Pass) -> Tensor {
  let columns = x.columns
  precondition(
    length > 0 && offsets.last == x.rows, "biInteraction: offsets do not end at \(x.rows)")
  let y = Tensor(shape: x.shape)
  // The sums of the rows that each row's pairs come from, itself among them.
  let sums = Tensor(shape: x.shape)
  let product = Tensor(shape: [columns])
  func row(_ tensor: Tensor, _ t: Int) -> UnsafeMutablePointer<Float> {
    tensor.numbers + t * columns
  }
  for (start, end) in zip(offsets, offsets.dropFirst()) {
    for t in start..<end {
      let (sum, pairs) = (row(sums, t), row(y, t))
      if t == start {
        loops.scale(row(x, t), alpha: 1, into: sum, count: columns)
        loops.fill(pairs, count: columns, value: 0)
        continue
      }
      loops.scale(row(sums, t - 1), alpha: 1, into: sum, count: columns)
      loops.scale(row(y, t - 1), alpha: 1, into: pairs, count: columns)
      if t - start >= length {
        loops.accumulate(row(x, t - length), alpha: -1, into: sum, count: columns)
        loops.multiply(row(x, t - length), sum, into: product.pointer, count: columns)
        loops.accumulate(product.pointer, alpha: -1, into: pairs, count: columns)
      }
      loops.addResidual(pairs, sum, scales: row(x, t), into: pairs, count: columns)
      loops.add(sum, row(x, t), into: sum, count: columns)
    }
  }
  return pass.result(y, of: [x]) { tape in
    { g in
      // x_i is in the pairs of rows i ..< i + length, beside sum_t - x_i, so its gradient is the sum
      // of g_t sum_t over them less x_i times that of g_t.
      let dx = Tensor(shape: x.shape)
      let (weighted, plain) = (Tensor(shape: [columns]), Tensor(shape: [columns]))
      func add(_ t: Int, alpha: Float) {
        loops.accumulate(row(g, t), alpha: alpha, into: plain.pointer, count: columns)
        loops.multiply(row(g, t), row(sums, t), into: product.pointer, count: columns)
        loops.accumulate(product.pointer, alpha: alpha, into: weighted.pointer, count: columns)
      }
      for (start, end) in zip(offsets, offsets.dropFirst()) {
        for sum in [weighted, plain] { sum.matrix.zero() }
        for t in (start..<end).reversed() {
          add(t, alpha: 1)
          if t + length < end { add(t + length, alpha: -1) }
          loops.multiply(row(x, t), plain.pointer, into: row(dx, t), count: columns)
          loops.scale(row(dx, t), alpha: -1, into: row(dx, t), count: columns)
          loops.add(row(dx, t), weighted.pointer, into: row(dx, t), count: columns)
        }
      }
      tape.add(dx, to: x)
    }
  }
}
