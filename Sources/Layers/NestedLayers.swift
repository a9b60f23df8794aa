public import Autograd
import Interactions
import Kernels
public import VectorLoops

/// A linear map whose first outputs are a map of the first inputs, for each of some sizes: see
/// `nestedLinear`.
///
/// Each level is a dense map of its own, so that a smaller model is the first levels as they are.
public struct NestedLinear: LinearMap {
  /// Level j reads what belongs to the first `sizes[j]` units, and writes what the units from
  /// `sizes[j - 1]` on have.
  public let levels: [Linear]
  private let shape: NestedShape
  private let planeWidth: Int

  /// - Parameters:
  ///   - inputs, outputs: channels of the whole map, multiples of the largest size times the planes.
  public init(
    _ inputs: Int, _ outputs: Int, shape: NestedShape, using initializer: inout Initializer
  ) {
    let units = shape.sizes.last ?? 0
    levels = chunks(shape.sizes).map {
      Linear(inputs / units * $0.upperBound, outputs / units * $0.count, using: &initializer)
    }
    planeWidth = outputs / shape.outputPlanes
    self.shape = shape
  }

  public func callAsFunction(
    _ x: Tensor, activation: Activation, dropout: Float, on pass: Pass
  ) -> Tensor {
    apply(x, activation: activation, dropout: dropout, on: pass)
  }

  public func callAsFunction(_ x: Tensor, outputs: Range<Int>, on pass: Pass) -> Tensor {
    precondition(
      outputs.lowerBound % planeWidth == 0 && outputs.upperBound % planeWidth == 0,
      "outputs \(outputs) of a nested map are not whole planes of \(planeWidth)")
    return apply(
      x, planes: (outputs.lowerBound / planeWidth)..<(outputs.upperBound / planeWidth), on: pass)
  }

  private func apply(
    _ x: Tensor, planes: Range<Int>? = nil, activation: Activation = .none, dropout: Float = 0,
    on pass: Pass
  ) -> Tensor {
    nestedLinear(
      x, shape: shape, weights: levels.map(\.weight.value),
      biases: levels.compactMap(\.bias?.value), planes: planes, activation: activation,
      dropout: dropout, on: pass)
  }
}

/// A dense map, or a nested one where sizes are given.
func linearMap(
  _ inputs: Int, _ outputs: Int, inputPlanes: Int = 1, outputPlanes: Int = 1, sizes: [Int]?,
  using initializer: inout Initializer
) -> any LinearMap {
  guard let sizes else { return Linear(inputs, outputs, using: &initializer) }
  let shape = NestedShape(sizes: sizes, inputPlanes: inputPlanes, outputPlanes: outputPlanes)
  return NestedLinear(inputs, outputs, shape: shape, using: &initializer)
}

/// The products of a map of `inputs` to `outputs` channels: all of them, or those that nesting
/// leaves, sum_j s_j (s_j - s_(j-1)) for each channel a unit.
public func linearProducts(_ inputs: Int, _ outputs: Int, sizes: [Int]?) -> Int {
  guard let sizes, let units = sizes.last else { return inputs * outputs }
  return inputs / units * (outputs / units)
    * chunks(sizes).reduce(0) { $0 + $1.upperBound * $1.count }
}

/// A gated linear unit between two linear maps: W (silu(G x) * dropout(V x)) (Shazeer, "GLU variants
/// improve transformer", 2020).
public struct GatedFeedForward: Module {
  let gate: any LinearMap
  let value: any LinearMap
  let output: any LinearMap
  let valueDropout: Float

  public init(
    dim: Int, valueDropout: Float, sizes: [Int]?, using initializer: inout Initializer
  ) {
    func square() -> any LinearMap { linearMap(dim, dim, sizes: sizes, using: &initializer) }
    gate = square()
    value = square()
    output = square()
    self.valueDropout = valueDropout
  }

  /// Begins as PyTorch's linear maps do.
  public func initializeUniform(using initializer: inout Initializer) {
    for map in [gate, value, output].flatMap(\.levels) { initializer.uniform(map) }
  }

  /// - Shapes: `x` and the result are `[rows, dim]`.
  public func callAsFunction(_ x: Tensor, on pass: Pass) -> Tensor {
    let gated = multiply(
      gate(x, activation: .silu, dropout: 0, on: pass),
      value(x, activation: .none, dropout: valueDropout, on: pass), on: pass)
    return output(gated, on: pass)
  }
}
