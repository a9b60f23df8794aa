public import Autograd
public import VectorLoops

/// Applies a learned linear map over positions; see `mixPositions`.
///
/// - Shapes: `[inputs * histories, dim]` becomes `[outputs * histories, dim]`.
public struct PositionMap: Module {
  public let weight: Parameter  // [outputs, inputs]
  public let bias: Parameter  // [outputs]

  /// Draws weights and biases from U(-1 / sqrt(inputs), 1 / sqrt(inputs)), as a convolution of width
  /// one over channels begins in the code of AutoMLP's authors.
  public init(_ inputs: Int, _ outputs: Int, using initializer: inout Initializer) {
    weight = Parameter(shape: [outputs, inputs])
    bias = Parameter(shape: [outputs])
    for parameter in [weight, bias] {
      initializer.uniform(parameter, bound: 1 / Float(inputs).squareRoot())
    }
  }

  /// - Parameter outputs: the positions that are computed, or nil for all.
  public func callAsFunction(
    _ x: Tensor, outputs: Range<Int>? = nil, activation: Activation = .none, dropout: Float = 0,
    on pass: Pass
  ) -> Tensor {
    mixPositions(
      x, weight: outputs.map { weight.value.block(rows: $0) } ?? weight.value,
      bias: outputs.map { bias.value.block(columns: $0) } ?? bias.value, activation: activation,
      dropout: dropout, on: pass)
  }
}

/// A net over positions, the same for every channel, then a net over channels, the same for every
/// position, each after a norm and with a residual (Tolstikhin et al., "MLP-Mixer", NeurIPS 2021).
///
/// Histories have one length. Their rows stand position by position, as `mixPositions` reads them.
public struct MixerLayer: Module {
  public struct Configuration: Sendable {
    public var length: Int
    public var dim: Int
    /// The width of the net over positions.
    public var tokenDim: Int
    /// The width of the net over channels.
    public var channelDim: Int
    /// After each of the four maps.
    public var dropout: Float = 0
    public var normEpsilon: Float = 1e-5

    public init(length: Int, dim: Int, tokenDim: Int, channelDim: Int) {
      self.length = length
      self.dim = dim
      self.tokenDim = tokenDim
      self.channelDim = channelDim
    }
  }

  let tokenNorm: LayerNorm
  let tokenExpand: PositionMap
  let tokenContract: PositionMap
  let channelNorm: LayerNorm
  let channelExpand: Linear
  let channelContract: Linear
  let length: Int
  let dropout: Float

  public init(_ c: Configuration, using initializer: inout Initializer) {
    tokenNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
    tokenExpand = PositionMap(c.length, c.tokenDim, using: &initializer)
    tokenContract = PositionMap(c.tokenDim, c.length, using: &initializer)
    channelNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
    channelExpand = Linear(c.dim, c.channelDim, using: &initializer)
    channelContract = Linear(c.channelDim, c.dim, using: &initializer)
    length = c.length
    dropout = c.dropout
  }

  /// - Shapes: `x` and the result are `[length * histories, dim]`.
  public func callAsFunction(_ x: Tensor, on pass: Pass) -> Tensor {
    let mixed = tokenContract(mixedTokens(x, on: pass), on: pass)
    return mixChannels(residual(x, mixed, dropout: dropout, on: pass), on: pass)
  }

  /// The result at the last position alone, at the cost of the first map over all positions and the
  /// others over one.
  ///
  /// - Shapes: `x` is `[length * histories, dim]`, the result is `[histories, dim]`.
  public func last(_ x: Tensor, on pass: Pass) -> Tensor {
    let mixed = tokenContract(
      mixedTokens(x, on: pass), outputs: (length - 1)..<length, on: pass)
    let newest = x.block(rows: (x.rows - mixed.rows)..<x.rows)
    return mixChannels(residual(newest, mixed, dropout: dropout, on: pass), on: pass)
  }

  private func mixedTokens(_ x: Tensor, on pass: Pass) -> Tensor {
    tokenExpand(tokenNorm(x, on: pass), activation: .gelu, dropout: dropout, on: pass)
  }

  private func mixChannels(_ x: Tensor, on pass: Pass) -> Tensor {
    let inner = channelExpand(
      channelNorm(x, on: pass), activation: .gelu, dropout: dropout, on: pass)
    return residual(x, channelContract(inner, on: pass), dropout: dropout, on: pass)
  }
}

extension MixerLayer.Configuration {
  /// The numbers that the weights of one layer hold.
  public var weightCount: Int {
    2 * tokenDim * length + tokenDim + length + 2 * channelDim * dim + channelDim + 5 * dim
  }

  /// Multiply-adds of some layers for one history, where the last one is computed at the last
  /// position alone.
  public func macs(layers: Int) -> Int {
    guard layers > 0 else { return 0 }
    let all = 2 * length * tokenDim * dim + 2 * length * dim * channelDim
    let last = length * tokenDim * dim + tokenDim * dim + 2 * dim * channelDim
    return (layers - 1) * all + last
  }
}
