public import Kernels

/// Returns the states of a gated recurrent unit over packed histories: see `PackedGRU`.
///
/// - Shapes: `x`, the inputs' part of the reset gate, the update gate and the candidate, is
///   `[tokens, 3 width]`; `weight` is `[3 width, width]`; the result is `[tokens, width]`; history s
///   owns rows `offsets[s] ..< offsets[s + 1]`.
/// - Parameter states: where each history begins, `[histories, width]`, and its last state
///   afterwards; no gradient flows into them. Histories begin at zero where it is nil.
public func gatedRecurrence(
  _ x: Tensor, weight: Tensor, form: PackedGRU.Form, offsets: [Int], states: Matrix? = nil,
  on pass: Pass
) -> Tensor {
  let width = weight.columns
  precondition(
    weight.rows == 3 * width && x.columns == 3 * width,
    "gatedRecurrence: \(x.shape) does not fit \(weight.shape)")
  precondition(offsets.last == x.rows, "gatedRecurrence: offsets do not end at \(x.rows)")
  let unit = PackedGRU(form, width: width, offsets: offsets, precision: pass.precision)
  let h = Tensor(shape: [x.rows, width])
  let isRecorded = pass.tape.map { $0.wants(x) || $0.wants(weight) } ?? false
  let gates = isRecorded ? Tensor(shape: [x.rows, unit.gateWidth]) : nil
  let first = isRecorded ? states?.copy() : nil
  unit.forward(
    x.matrix, weight: weight.matrix, states: states, into: h.matrix, gates: gates?.matrix)
  return pass.result(h, of: [x, weight]) { tape in
    { g in
      guard let gates else { return }
      let dx = Tensor(shape: x.shape)
      func run(_ dWeight: Matrix?, _ beta: Float) {
        unit.backward(
          weight: weight.matrix, states: first, h: h.matrix, gates: gates.matrix, dh: g.matrix,
          into: dx.matrix, dWeight: dWeight, weightBeta: beta)
      }
      if tape.wants(weight) { tape.accumulate(weight, run) } else { run(nil, 0) }
      tape.add(dx, to: x)
    }
  }
}
