public import Autograd
public import Interactions
public import Kernels
public import Layers
public import VectorLoops

/// Scores the next item of a history with self-attention.
///
/// Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018. The post-norm form is
/// RecBole's.
public struct SASRec: StreamingModel, NestedModel {
  public typealias Norm = TransformerBlock.Norm

  public struct Configuration: Sendable {
    public var items: Int
    public var dim = 64
    public var innerDim = 256
    public var blocks = 2
    public var heads = 2
    public var maxLength = 200
    public var attention = AttentionOption.softmax
    public var dropout: Float = 0.2
    public var attentionDropout: Float = 0
    public var innerDropout: Float = 0
    public var norm = Norm.pre
    public var activation = Activation.gelu
    public var normEpsilon: Float = 1e-12
    /// Whether item embeddings are multiplied by sqrt(dim), as in the authors' code.
    public var scaleEmbedding = false
    /// Whether the table that scores items is the one that embeds them.
    public var tied = true
    public var initialStd: Float = 0.02
    /// The widths of the models inside, ascending to `dim`: multiples of the width of a head.
    /// `innerDim` is a multiple of `dim` then.
    public var nestedSizes: [Int]?
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items, dim], and a row of padding with linear_official
  let positionEmbedding: Parameter  // [maxLength, dim]
  let embeddingNorm: LayerNorm?  // post-norm only
  let blocks: [TransformerBlock]
  let finalNorm: LayerNorm?  // not with post-norm
  let outputEmbedding: Parameter?  // [items, dim], where not tied

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = Parameter(shape: [c.attention.tableRows(items: c.items), c.dim])
    positionEmbedding = Parameter(shape: [c.maxLength, c.dim])
    initializer.normal(itemEmbedding)
    initializer.normal(positionEmbedding)
    let isPost = c.norm == .post
    embeddingNorm =
      isPost ? LayerNorm(c.dim, epsilon: c.normEpsilon, sizes: c.nestedSizes) : nil
    blocks = (0..<c.blocks).map { _ in TransformerBlock(c.block, using: &initializer) }
    finalNorm =
      isPost ? nil : LayerNorm(c.dim, epsilon: c.normEpsilon, sizes: c.nestedSizes)
    outputEmbedding = c.tied ? nil : Parameter(shape: [c.items, c.dim])
    if let outputEmbedding { initializer.normal(outputEmbedding) }
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }

  public var isCausal: Bool { configuration.attention.kind.isCausal }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(table: outputEmbedding?.value ?? itemEmbedding.value.prefix(rows: itemCount))
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let input = input(batch)
    let x = blocks.encode(embed(input.batch, on: pass), input.batch, on: pass)
    let states = input.own(of: x, on: pass)
    return finalNorm?(states, on: pass) ?? states
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let input = input(batch)
    let x = blocks.encodeLast(
      embed(input.batch, on: pass), input.batch, rows: input.lastTokens, on: pass)
    return finalNorm?(x, on: pass) ?? x
  }

  public func paddedLength(_ length: Int) -> Int {
    configuration.attention.tokens(length: length, maximalLength: maximalLength)
  }

  private func input(_ batch: PackedBatch) -> BlockInput {
    configuration.attention.input(batch, items: itemCount, maximalLength: maximalLength)
  }

  private func embed(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    embed(items: batch.items, positions: batch.positions, on: pass)
  }

  private func embed(items: [Int32], positions: [Int32], on pass: Pass) -> Tensor {
    let factor = configuration.scaleEmbedding ? Float(configuration.dim).squareRoot() : 1
    let items = lookUp(
      items, in: itemEmbedding.value, trained: itemCount, scale: factor, on: pass)
    let positions = gather(positionEmbedding.value, rows: positions, on: pass)
    let x = add(items, positions, on: pass)  // [tokens, dim]
    return dropout(
      embeddingNorm?(x, on: pass) ?? x, probability: configuration.dropout, on: pass)
  }

  /// The number of items so far, at most `maximalLength`, then the sums of each block.
  public var stateSize: Int? {
    configuration.attention.kind.streams ? 1 + blocks.stateSize : nil
  }

  /// Beyond `maximalLength` items, states keep all of them and the last position.
  public func advance(_ states: Matrix, by items: [Int32]) -> Tensor {
    let positions = countItem(states, maximalLength: maximalLength)
    let x = embed(items: items, positions: positions, on: .inference)
    let y = blocks.advance(states.columns(1..<states.columns), by: x, on: .inference)
    return finalNorm?(y, on: .inference) ?? y
  }

  public var sizes: [Int]? { configuration.nestedSizes }

  public func slice(size: Int, keepsFeatures: Bool) throws -> any SequentialModel {
    var c = configuration
    c.nestedSizes = try require(size: size)
    (c.dim, c.innerDim) = (size, c.innerDim / c.dim * size)
    c.heads = size / (configuration.dim / c.heads)
    let small = SASRec(c)
    copyPrefixes(to: small)
    return small
  }

  public func stateParts(of size: Int) -> [(whole: Int, kept: Int)] {
    let (dim, head) = (configuration.dim, configuration.dim / configuration.heads)
    // The number of items, then a matrix for each head of each block.
    return [(1, 1)] + Array(repeating: (dim * head, size * head), count: blocks.count)
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    let macs = c.block.macs(blocks: c.blocks, length: paddedLength(length))
    return Cost(parameters: parameterCount, macs: macs)
  }
}

extension SASRec.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    innerDim = try fields.integer("inner_dim", default: innerDim, in: 1...1_048_576)
    blocks = try fields.integer("blocks", default: blocks, in: 0...1024)
    heads = try fields.heads(default: heads, dividing: dim)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    attention = try fields.choice("attention", default: attention)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    attentionDropout = try fields.float("attention_dropout", default: 0, from: 0, to: 1)
    innerDropout = try fields.float("inner_dropout", default: 0, from: 0, to: 1)
    norm = try fields.choice("norm", default: norm)
    activation = try fields.activation(default: activation)
    normEpsilon = try fields.float("norm_epsilon", default: normEpsilon, from: 0, to: 1)
    scaleEmbedding = try fields.flag("scale_embedding", default: scaleEmbedding)
    tied = try fields.flag("tied", default: tied)
    nestedSizes = try fields.nestedSizes(dim: dim, multiples: ["inner_dim": innerDim])
    if let nestedSizes {
      let width = dim / heads
      try require(
        nestedSizes.allSatisfy { $0 % width == 0 },
        "nested_sizes must be multiples of the \(width) channels of a head, got \(nestedSizes)")
      try require(
        !scaleEmbedding, "scale_embedding depends on dim, so it cannot go with nested_sizes")
    }
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  var block: TransformerBlock.Configuration {
    var block = TransformerBlock.Configuration(
      dim: dim, innerDim: innerDim, heads: heads, maximalLength: maxLength)
    block.attention = attention.kind
    (block.dropout, block.attentionDropout, block.innerDropout) =
      (dropout, attentionDropout, innerDropout)
    (block.norm, block.activation, block.normEpsilon) = (norm, activation, normEpsilon)
    block.sizes = nestedSizes
    return block
  }

  var weightCount: Int {
    let rows = attention.tableRows(items: items) + (tied ? 0 : items) + maxLength
    return (rows + 2) * dim + blocks * block.weightCount
  }
}

extension SASRec {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "sasrec", "items": \(c.items), "dim": \(c.dim), "inner_dim": \(c.innerDim), \
      "blocks": \(c.blocks), "heads": \(c.heads), "max_length": \(c.maxLength), \
      "attention": "\(c.attention.rawValue)", \
      "dropout": \(c.dropout), "attention_dropout": \(c.attentionDropout), \
      "inner_dropout": \(c.innerDropout), "norm": "\(c.norm.rawValue)", \
      "activation": "\(c.activation.rawValue)", "norm_epsilon": \(c.normEpsilon), \
      "scale_embedding": \(c.scaleEmbedding), "tied": \(c.tied), \
      "nested_sizes": \(c.nestedSizes ?? []), \
      "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
