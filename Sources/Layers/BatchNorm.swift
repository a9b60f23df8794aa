public import Autograd
import Kernels

/// Normalises each column over the rows that go through the model together and gives it a learned
/// scale and shift (Ioffe and Szegedy, 2015).
///
/// Without a tape the moments are `mean` and `variance`, which follow those of training.
public struct BatchNorm: Module {
  public let weight: Parameter  // [dim]
  public let bias: Parameter  // [dim]
  let mean: Parameter  // [dim], not trained
  let variance: Parameter  // [dim], not trained
  private static let epsilon: Float = 1e-5

  public init(_ dim: Int) {
    weight = Parameter(shape: [dim])
    bias = Parameter(shape: [dim])
    mean = Parameter(shape: [dim])
    variance = Parameter(shape: [dim])
    weight.fill(1)
    variance.fill(1)
    (mean.isFrozen, variance.isFrozen) = (true, true)
  }

  /// - Shapes: `x` and the result are `[rows, dim]`.
  public func callAsFunction(_ x: Tensor, on pass: Pass) -> Tensor {
    let moments: ColumnMoments
    if let tape = pass.tape {
      moments = ColumnMoments(of: x)
      observe(moments, rows: x.rows, in: tape.store)
    } else {
      moments = ColumnMoments(mean: mean.value, variance: variance.value)
    }
    return batchNorm(
      x, moments, weight: weight.value, bias: bias.value, epsilon: Self.epsilon, on: pass)
  }

  private func observe(_ moments: ColumnMoments, rows: Int, in store: GradientStore) {
    guard rows > 0 else { return }
    let weight = Float(rows)
    store.observe(moments.mean, weight: weight, for: mean.value)
    // Among `rows` numbers the mean takes one degree of freedom.
    let unbiased = Tensor(shape: moments.variance.shape)
    loops.scale(
      moments.variance.pointer, alpha: rows > 1 ? weight / (weight - 1) : 1,
      into: unbiased.pointer, count: unbiased.count)
    store.observe(unbiased, weight: weight, for: variance.value)
  }
}

extension GradientStore {
  /// Moves the parameters that follow statistics of the batches a tenth of the way to those of a
  /// step.
  public func moveRunningStatistics(_ parameters: [NamedParameter]) {
    for parameter in parameters {
      guard let mean = observed(for: parameter.value) else { continue }
      let value = parameter.value
      loops.scale(value.pointer, alpha: 0.9, into: value.pointer, count: value.count)
      loops.accumulate(mean.pointer, alpha: 0.1, into: value.pointer, count: value.count)
    }
  }
}
