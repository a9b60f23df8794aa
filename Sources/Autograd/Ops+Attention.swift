import Kernels
import VectorLoops

/// Returns multi-head attention over packed histories: see `PackedAttention`.
///
/// - Shapes: `query`, `key`, `value` and the result are `[tokens, dim]`; history s owns rows
///   `offsets[s] ..< offsets[s + 1]`.
public func softmaxAttention(
  query: Tensor, key: Tensor, value: Tensor, heads: Int, offsets: [Int], isCausal: Bool = true,
  dropout: Float = 0, maximalLength: Int, on pass: Pass
) -> Tensor {
  let (tokens, dim) = (query.rows, query.columns)
  precondition(offsets.last == tokens, "softmaxAttention: offsets do not end at \(tokens)")
  let randomKey = pass.nextKey(probability: dropout)
  let attention = PackedAttention(
    heads: heads, dim: dim, offsets: offsets, isCausal: isCausal,
    dropout: randomKey == nil ? 0 : dropout,
    key: randomKey ?? RandomKey(seed: 0, step: 0, op: 0), firstToken: pass.firstToken,
    maximalLength: maximalLength)
  let y = Tensor(rows: tokens, columns: dim)
  let wantsGradient = pass.tape.map { tape in [query, key, value].contains(where: tape.wants) }
  let logSums = wantsGradient == true ? Buffer(count: heads * tokens) : nil
  attention.forward(
    q: query.matrix, k: key.matrix, v: value.matrix, into: y.matrix, logSums: logSums?.pointer)
  if pass.isInference { return y }
  return pass.result(y, of: [query, key, value]) { tape in
    { g in
      guard let logSums else { return }
      // Views of one tensor share its gradient, which must exist before all three are written to.
      place(query, on: tape) { dq in
        place(key, on: tape) { dk in
          place(value, on: tape) { dv in
            attention.backward(
              q: query.matrix, k: key.matrix, v: value.matrix, y: y.matrix, dy: g.matrix,
              logSums: logSums.pointer, dq: dq, dk: dk, dv: dv)
          }
        }
      }
    }
  }
}

/// What `softmaxAttention` gives at the last position of each history alone, for inference.
///
/// - Shapes: `query` and the result are `[histories, dim]`, `key` and `value` are `[tokens, dim]`.
public func lastSoftmaxAttention(
  query: Tensor, key: Tensor, value: Tensor, heads: Int, offsets: [Int], maximalLength: Int
) -> Tensor {
  let y = Tensor(like: query)
  PackedAttention(
    heads: heads, dim: query.columns, offsets: offsets, maximalLength: maximalLength
  ).forwardLast(q: query.matrix, k: key.matrix, v: value.matrix, into: y.matrix)
  return y
}

/// Returns multi-head linear attention over packed histories: see `PackedLinearAttention`.
///
/// - Parameter decayLog: logarithms of the rates that heads decay at, `[heads]`; causal attention
///   only.
/// - Shapes: as for `softmaxAttention`.
public func linearAttention(
  query: Tensor, key: Tensor, value: Tensor, decayLog: Tensor? = nil, heads: Int, offsets: [Int],
  isCausal: Bool, on pass: Pass
) -> Tensor {
  let (tokens, dim) = (query.rows, query.columns)
  precondition(offsets.last == tokens, "linearAttention: offsets do not end at \(tokens)")
  let rates = PackedLinearAttention.rates(ofLogs: decayLog?.values ?? [])
  let attention = PackedLinearAttention(
    heads: heads, dim: dim, offsets: offsets, isCausal: isCausal, rates: rates)
  let (q, k) = (UnitELU(of: query.matrix, heads: heads), UnitELU(of: key.matrix, heads: heads))
  let y = Tensor(shape: [tokens, dim])
  attention.forward(q: q, k: k, v: value.matrix, into: y.matrix)
  return pass.result(y, of: [query, key, value] + (decayLog.map { [$0] } ?? [])) { tape in
    { g in
      let (dq, dk) = (Tensor(shape: query.shape), Tensor(shape: key.shape))
      var slopes: [Float] = []
      place(value, on: tape) { dv in
        slopes = attention.backward(
          q: q, k: k, v: value.matrix, dy: g.matrix, dq: dq.matrix, dk: dk.matrix, dv: dv)
      }
      if let decayLog {
        tape.add(to: decayLog) {
          for h in 0..<heads { $0.pointer[h] += rates[h] * slopes[h] }
        }
      }
      tape.add(to: query) { q.addGradient(of: dq.matrix, to: $0) }
      tape.add(to: key) { k.addGradient(of: dk.matrix, to: $0) }
    }
  }
}

/// Calls `body` with the place of the gradient of an input of attention, to be added to, or with
/// scratch memory where nobody wants it.
private func place(_ input: Tensor, on tape: Tape, _ body: (Matrix) -> Void) {
  if tape.wants(input) { return tape.add(to: input, body) }
  let unwanted = Tensor(shape: input.shape)
  body(unwanted.matrix)
}
