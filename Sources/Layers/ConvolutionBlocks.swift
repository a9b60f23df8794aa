public import Autograd

/// A convolution over positions: see `convolution`.
public struct Convolution: Module {
  public let weight: Parameter  // [outputs, kernel * inputs], the oldest tap first
  public let bias: Parameter  // [outputs]

  public init(_ inputs: Int, _ outputs: Int, kernel: Int, using initializer: inout Initializer) {
    weight = Parameter(shape: [outputs, kernel * inputs])
    bias = Parameter(shape: [outputs])
    initializer.truncatedNormal(weight)
  }

  public func callAsFunction(_ x: Tensor, _ taps: ConvolutionTaps, on pass: Pass) -> Tensor {
    convolution(x, weight: weight.value, bias: bias.value, taps: taps, on: pass)
  }
}

/// A residual block of causal convolutions (Yuan et al., "A Simple Convolutional Generative Network
/// for Next Item Recommendation", WSDM 2019), whose branch may have a trained weight that begins at
/// zero.
public protocol ConvolutionBlock: Module {
  /// - Parameters:
  ///   - stack: of all blocks of a network.
  ///   - first: the number of this block's first convolution in it.
  /// - Shapes: `x` has a row for each token of the stack's level `first`, the result one for each of
  ///   the level after the block's convolutions.
  func callAsFunction(_ x: Tensor, _ stack: ConvolutionStack, first: Int, on pass: Pass) -> Tensor
}

/// Two convolutions, the second of twice the dilation, each followed by a norm and ReLU: block (b) of
/// the paper.
public struct FullConvolutionBlock: ConvolutionBlock {
  let convolutionA: Convolution
  let normA: LayerNorm
  let convolutionB: Convolution
  let normB: LayerNorm
  let residualWeight: Parameter?  // [1]

  public init(
    dim: Int, kernel: Int, normEpsilon: Float, hasResidualWeight: Bool,
    using initializer: inout Initializer
  ) {
    convolutionA = Convolution(dim, dim, kernel: kernel, using: &initializer)
    normA = LayerNorm(dim, epsilon: normEpsilon)
    convolutionB = Convolution(dim, dim, kernel: kernel, using: &initializer)
    normB = LayerNorm(dim, epsilon: normEpsilon)
    residualWeight = hasResidualWeight ? Parameter(shape: [1]) : nil
  }

  public func callAsFunction(
    _ x: Tensor, _ stack: ConvolutionStack, first: Int, on pass: Pass
  ) -> Tensor {
    let a = activate(normA(convolutionA(x, stack.taps[first], on: pass), on: pass), .relu, on: pass)
    let b = activate(
      normB(convolutionB(a, stack.taps[first + 1], on: pass), on: pass), .relu, on: pass)
    return add(b, to: x, stack.rows(from: first, to: first + 2), weight: residualWeight, on: pass)
  }
}

/// A convolution of half the width between two maps, a norm and ReLU before each: block (a) of the
/// paper.
public struct BottleneckConvolutionBlock: ConvolutionBlock {
  let normA: LayerNorm
  let reduce: Linear
  let normB: LayerNorm
  let convolution: Convolution
  let normC: LayerNorm
  let expand: Linear
  let residualWeight: Parameter?  // [1]

  public init(
    dim: Int, kernel: Int, normEpsilon: Float, hasResidualWeight: Bool,
    using initializer: inout Initializer
  ) {
    let half = dim / 2
    normA = LayerNorm(dim, epsilon: normEpsilon)
    reduce = Linear(dim, half, using: &initializer)
    normB = LayerNorm(half, epsilon: normEpsilon)
    convolution = Convolution(half, half, kernel: kernel, using: &initializer)
    normC = LayerNorm(half, epsilon: normEpsilon)
    expand = Linear(half, dim, using: &initializer)
    residualWeight = hasResidualWeight ? Parameter(shape: [1]) : nil
    for map in [reduce, expand] { initializer.truncatedNormal(map.weight) }
  }

  public func callAsFunction(
    _ x: Tensor, _ stack: ConvolutionStack, first: Int, on pass: Pass
  ) -> Tensor {
    let a = reduce(activate(normA(x, on: pass), .relu, on: pass), on: pass)
    let b = convolution(
      activate(normB(a, on: pass), .relu, on: pass), stack.taps[first], on: pass)
    let c = expand(activate(normC(b, on: pass), .relu, on: pass), on: pass)
    return add(c, to: x, stack.rows(from: first, to: first + 1), weight: residualWeight, on: pass)
  }
}

extension ConvolutionBlock {
  /// Returns x + weight * branch at the rows of x that the branch has; nil stands for all rows, and
  /// for the weight 1.
  fileprivate func add(
    _ branch: Tensor, to x: Tensor, _ rows: [Int32]?, weight: Parameter?, on pass: Pass
  ) -> Tensor {
    let kept = rows.map { gather(x, rows: $0, on: pass) } ?? x
    guard let weight else { return residual(kept, branch, on: pass) }
    return residual(kept, branch, weight: weight.value, on: pass)
  }
}
