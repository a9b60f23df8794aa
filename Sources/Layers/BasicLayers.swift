public import Autograd
import Glibc
import Interactions
public import VectorLoops

/// Fills weights with random numbers.
public struct Initializer {
  private var generator: CounterGenerator
  private let deviation: Float

  public init(seed: UInt64, deviation: Float) {
    generator = CounterGenerator(seed: seed, purpose: 1)
    self.deviation = deviation
  }

  /// Draws from the normal distribution N(0, deviation^2), by Box and Muller's transformation.
  public mutating func normal(_ parameter: Parameter, deviation: Float? = nil) {
    let deviation = deviation ?? self.deviation
    for i in 0..<parameter.value.count {
      parameter.value.pointer[i] = deviation * Float(standardNormal())
    }
  }

  /// Draws from N(0, deviation^2) until a number is within two deviations.
  public mutating func truncatedNormal(_ parameter: Parameter) {
    for i in 0..<parameter.value.count {
      var number = standardNormal()
      while abs(number) > 2 { number = standardNormal() }
      parameter.value.pointer[i] = deviation * Float(number)
    }
  }

  /// Draws uniformly between -bound and bound.
  public mutating func uniform(_ parameter: Parameter, bound: Float) {
    for i in 0..<parameter.value.count {
      parameter.value.pointer[i] = bound * Float(2 * generator.uniform() - 1)
    }
  }

  /// Draws weight and bias uniformly between -1 / sqrt(inputs) and 1 / sqrt(inputs), as PyTorch does.
  public mutating func uniform(_ map: Linear, inputs: Int? = nil) {
    let bound = 1 / Float(inputs ?? map.weight.value.columns).squareRoot()
    uniform(map.weight, bound: bound)
    if let bias = map.bias { uniform(bias, bound: bound) }
  }

  /// Draws uniformly with the bound sqrt(6 / (inputs + outputs)) (Glorot and Bengio, 2010).
  ///
  /// - Shapes: `parameter` is `[outputs, inputs]`.
  public mutating func glorot(_ parameter: Parameter) {
    let (rows, columns) = (parameter.value.rows, parameter.value.columns)
    uniform(parameter, bound: (6 / Float(rows + columns)).squareRoot())
  }

  /// A number of [0, 1).
  public mutating func fraction() -> Double { generator.uniform() }

  private mutating func standardNormal() -> Double {
    let radius = (-2 * log(1 - generator.uniform())).squareRoot()
    return radius * cos(2 * Double.pi * generator.uniform())
  }
}

/// A learned linear map, with an activation and dropout after it where they are asked for.
public protocol LinearMap: Module {
  /// - Shapes: `[rows, inputs]` becomes `[rows, outputs]`.
  func callAsFunction(_ x: Tensor, activation: Activation, dropout: Float, on pass: Pass) -> Tensor

  /// The same with only some of the outputs; those of a nested map are whole planes.
  func callAsFunction(_ x: Tensor, outputs: Range<Int>, on pass: Pass) -> Tensor

  /// The dense maps that it is made of.
  var levels: [Linear] { get }
}

extension LinearMap {
  public func callAsFunction(_ x: Tensor, on pass: Pass) -> Tensor {
    self(x, activation: .none, dropout: 0, on: pass)
  }
}

/// Applies a learned linear map, y = x W^T + b.
///
/// - Shapes: `[rows, inputs]` becomes `[rows, outputs]`.
public struct Linear: LinearMap {
  public let weight: Parameter  // [outputs, inputs]
  public let bias: Parameter?  // [outputs]

  public var levels: [Linear] { [self] }

  public init(
    _ inputs: Int, _ outputs: Int, hasBias: Bool = true, using initializer: inout Initializer
  ) {
    weight = Parameter(shape: [outputs, inputs])
    bias = hasBias ? Parameter(shape: [outputs]) : nil
    initializer.normal(weight)
  }

  public func callAsFunction(
    _ x: Tensor, activation: Activation = .none, dropout: Float = 0, on pass: Pass
  ) -> Tensor {
    linear(
      x, weight: weight.value, bias: bias?.value, activation: activation, dropout: dropout,
      on: pass)
  }

  /// The same with only some of the outputs.
  public func callAsFunction(_ x: Tensor, outputs: Range<Int>, on pass: Pass) -> Tensor {
    linear(
      x, weight: weight.value.block(rows: outputs), bias: bias?.value.block(columns: outputs),
      on: pass)
  }
}

/// Normalises each row, or each chunk of a row by itself, and gives it a learned scale and shift.
public struct LayerNorm: Module {
  public let weight: Parameter  // [dim]
  public let bias: Parameter  // [dim]
  let epsilon: Float
  private let sizes: [Int]?

  /// - Parameter sizes: of a nested model: what a larger model has in addition must not move the
  ///   statistics of a smaller one.
  public init(_ dim: Int, epsilon: Float, sizes: [Int]? = nil) {
    weight = Parameter(shape: [dim])
    bias = Parameter(shape: [dim])
    weight.fill(1)
    self.epsilon = epsilon
    self.sizes = sizes
  }

  public func callAsFunction(_ x: Tensor, on pass: Pass) -> Tensor {
    layerNorm(x, weight: weight.value, bias: bias.value, epsilon: epsilon, sizes: sizes, on: pass)
  }
}

/// Two linear maps with an activation between them, position by position.
public struct FeedForward: Module {
  let expand: any LinearMap
  let contract: any LinearMap
  let activation: Activation
  let innerDropout: Float

  /// - Parameter sizes: of a nested model, whose `innerDim` is a multiple of `dim`.
  public init(
    dim: Int, innerDim: Int, activation: Activation, innerDropout: Float, sizes: [Int]? = nil,
    using initializer: inout Initializer
  ) {
    expand = linearMap(dim, innerDim, sizes: sizes, using: &initializer)
    contract = linearMap(innerDim, dim, sizes: sizes, using: &initializer)
    self.activation = activation
    self.innerDropout = innerDropout
  }

  public func callAsFunction(_ x: Tensor, on pass: Pass) -> Tensor {
    contract(expand(x, activation: activation, dropout: innerDropout, on: pass), on: pass)
  }
}
