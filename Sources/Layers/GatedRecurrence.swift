public import Autograd
public import Interactions
public import Kernels

/// A gated recurrent unit: see `PackedGRU`.
public struct GatedRecurrence: Module {
  /// From the inputs to the reset gate, the update gate and the candidate; biased in TensorFlow's
  /// form alone.
  let input: Linear
  /// From the states.
  let recurrent: Linear
  let form: PackedGRU.Form
  let width: Int

  public init(
    _ form: PackedGRU.Form, inputs: Int, width: Int, using initializer: inout Initializer
  ) {
    input = Linear(inputs, 3 * width, hasBias: form == .tensorflow, using: &initializer)
    recurrent = Linear(width, 3 * width, hasBias: false, using: &initializer)
    self.form = form
    self.width = width
    initializer.glorot(input.weight)
    initializer.glorot(recurrent.weight)
    // Gates begin open, so that states change slowly at first.
    if let bias = input.bias {
      bias.fill(1)
      bias.value.block(columns: (2 * width)..<(3 * width)).matrix.zero()
    }
  }

  /// - Shapes: `x` is `[tokens, inputs]`, the result is `[tokens, width]`.
  public func callAsFunction(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    gatedRecurrence(
      input(x, on: pass), weight: recurrent.weight.value, form: form, offsets: batch.offsets,
      on: pass)
  }

  /// Advances each state by one input.
  ///
  /// - Shapes: `x` is `[people, inputs]`, `states` and the result are `[people, width]`.
  public func advance(_ states: Matrix, by x: Tensor, on pass: Pass) -> Tensor {
    gatedRecurrence(
      input(x, on: pass), weight: recurrent.weight.value, form: form, offsets: Array(0...x.rows),
      states: states, on: pass)
  }
}
