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
  let y = Tensor(shape: [tokens, dim])
  let wantsGradient = pass.tape.map { tape in [query, key, value].contains(where: tape.wants) }
  let logSums = wantsGradient == true ? Buffer(count: heads * tokens) : nil
  attention.forward(
    q: query.matrix, k: key.matrix, v: value.matrix, into: y.matrix, logSums: logSums?.pointer)
  return pass.result(y, of: [query, key, value]) { tape in
    { g in
      guard let logSums else { return }
      // Views of one tensor share its gradient, which must exist before all three are written to.
      let scratch = [query, key, value].map { tape.wants($0) ? nil : Tensor(shape: $0.shape) }
      func place(_ i: Int, _ tensor: Tensor, _ body: (Matrix) -> Void) {
        if let unwanted = scratch[i] { body(unwanted.matrix) } else { tape.add(to: tensor, body) }
      }
      place(0, query) { dq in
        place(1, key) { dk in
          place(2, value) { dv in
            attention.backward(
              q: query.matrix, k: key.matrix, v: value.matrix, y: y.matrix, dy: g.matrix,
              logSums: logSums.pointer, dq: dq, dk: dk, dv: dv)
          }
        }
      }
    }
  }
}
