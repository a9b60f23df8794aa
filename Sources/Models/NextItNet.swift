public import Autograd
public import Interactions
import Layers

/// Scores the next item of a history with a deep stack of dilated causal convolutions.
///
/// Yuan et al., "A Simple Convolutional Generative Network for Next Item Recommendation", WSDM 2019.
/// With residual weights it is NextItNet+, of Chen et al., "A User-Adaptive Layer Selection Framework
/// for Very Deep Sequential Recommender Models", AAAI 2021.
public struct NextItNet: CausalModel {
  public enum Block: String, Sendable, CaseIterable {
    /// Two convolutions.
    case full
    /// One convolution of half the width between two maps.
    case bottleneck
  }

  public enum OutputActivation: String, Sendable, CaseIterable {
    case relu
    case none
  }

  public struct Configuration: Sendable {
    public var items: Int
    public var dim = 64
    /// Positions that a convolution reads.
    public var kernel = 3
    /// Of each block; the second convolution of a full block has twice its dilation.
    public var dilations = [1, 4, 1, 4]
    public var block = Block.full
    /// Whether each block's branch has a trained weight, which begins at zero.
    public var residualWeights = false
    /// Whether the table that scores items is the one that embeds them.
    public var tied = false
    /// Of the last block's result.
    public var outputActivation = OutputActivation.relu
    public var maxLength = 50
    /// Of the embeddings.
    public var dropout: Float = 0
    public var normEpsilon: Float = 1e-8
    public var initialStd: Float = 0.02
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items, dim]
  let blocks: [any ConvolutionBlock]
  let outputEmbedding: Parameter?  // [items, dim], where not tied
  let outputBias: Parameter  // [items]

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = Parameter(shape: [c.items, c.dim])
    initializer.truncatedNormal(itemEmbedding)
    blocks = c.dilations.map { _ in
      switch c.block {
      case .full:
        FullConvolutionBlock(
          dim: c.dim, kernel: c.kernel, normEpsilon: c.normEpsilon,
          hasResidualWeight: c.residualWeights, using: &initializer)
      case .bottleneck:
        BottleneckConvolutionBlock(
          dim: c.dim, kernel: c.kernel, normEpsilon: c.normEpsilon,
          hasResidualWeight: c.residualWeights, using: &initializer)
      }
    }
    outputEmbedding = c.tied ? nil : Parameter(shape: [c.items, c.dim])
    if let outputEmbedding { initializer.truncatedNormal(outputEmbedding) }
    outputBias = Parameter(shape: [c.items])
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(table: (outputEmbedding ?? itemEmbedding).value, bias: outputBias.value)
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let c = configuration
    let stack = ConvolutionStack(
      kernel: c.kernel, dilations: c.convolutions, offsets: batch.offsets)
    return encode(batch.items, stack, on: pass)
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    guard pass.tape == nil else {
      return gather(encode(batch, on: pass), rows: batch.lastTokens, on: pass)
    }
    let c = configuration
    let stack = ConvolutionStack(
      lastOf: batch.offsets, kernel: c.kernel, dilations: c.convolutions)
    return encode(stack.levels[0].map { batch.items[Int($0)] }, stack, on: pass)
  }

  private func encode(_ items: [Int32], _ stack: ConvolutionStack, on pass: Pass) -> Tensor {
    let c = configuration
    var x = dropout(
      gather(itemEmbedding.value, rows: items, on: pass), probability: c.dropout, on: pass)
    for (b, block) in blocks.enumerated() {
      x = block(x, stack, first: b * c.convolutionsOfABlock, on: pass)
    }
    return c.outputActivation == .relu ? activate(x, .relu, on: pass) : x
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    let n = min(max(length, 1), c.maxLength)
    let stack = ConvolutionStack(lastOf: [0, n], kernel: c.kernel, dilations: c.convolutions)
    // The positions that each level has are those that the last one depends on.
    let counts = stack.levels.map(\.count)
    let macs: Int
    switch c.block {
    case .full: macs = counts.dropFirst().reduce(0, +) * c.kernel * c.dim * c.dim
    case .bottleneck:
      let half = c.dim / 2
      macs = zip(counts, counts.dropFirst()).reduce(0) { sum, level in
        sum + (level.0 + level.1) * c.dim * half + level.1 * c.kernel * half * half
      }
    }
    return Cost(parameters: parameterCount, macs: macs)
  }
}

extension NextItNet.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    kernel = try fields.integer("kernel", default: kernel, in: 1...1024)
    dilations = try fields.integers("dilations", default: dilations, in: 1...1_000_000)
    try require(dilations.count <= 1024, "dilations must be at most 1024, got \(dilations.count)")
    block = try fields.choice("block", default: block)
    try require(
      block == .full || dim % 2 == 0, "dim must be even for block \"bottleneck\", got \(dim)")
    residualWeights = try fields.flag("residual_weights", default: residualWeights)
    tied = try fields.flag("tied", default: tied)
    outputActivation = try fields.choice("output_activation", default: outputActivation)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    normEpsilon = try fields.float("norm_epsilon", default: normEpsilon, from: 0, to: 1)
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  var convolutionsOfABlock: Int { block == .full ? 2 : 1 }

  /// The dilation of each convolution.
  var convolutions: [Int] { block == .full ? dilations.flatMap { [$0, 2 * $0] } : dilations }

  var weightCount: Int {
    let half = dim / 2
    let maps: Int
    switch block {
    case .full: maps = 2 * (kernel * dim * dim + dim) + 4 * dim
    case .bottleneck:
      maps = 2 * dim * half + half + dim + kernel * half * half + half + 2 * dim + 4 * half
    }
    return items * (dim * (tied ? 1 : 2) + 1) + dilations.count * (maps + (residualWeights ? 1 : 0))
  }
}

extension NextItNet {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "nextitnet", "items": \(c.items), "dim": \(c.dim), "kernel": \(c.kernel), \
      "dilations": \(c.dilations), "block": "\(c.block.rawValue)", \
      "residual_weights": \(c.residualWeights), "tied": \(c.tied), \
      "output_activation": "\(c.outputActivation.rawValue)", "max_length": \(c.maxLength), \
      "dropout": \(c.dropout), "norm_epsilon": \(c.normEpsilon), \
      "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
