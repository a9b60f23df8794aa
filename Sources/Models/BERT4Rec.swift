public import Autograd
public import Interactions
import Layers
public import VectorLoops

/// Scores the items of gaps in histories with attention to both sides; the next item is a gap at the
/// end.
///
/// Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from
/// Transformer", CIKM 2019.
public struct BERT4Rec: MaskedModel {
  /// Where the numbers of positions begin.
  public enum Positions: String, Sendable, CaseIterable {
    /// At the oldest item that is read, as in RecBole.
    case oldest
    /// At the mask of a recommendation, as where padding stands before histories.
    case newest
  }

  public struct Configuration: Sendable {
    public var items: Int
    public var dim = 64
    public var innerDim = 256
    public var blocks = 2
    public var heads = 2
    public var maxLength = 50
    public var positions = Positions.oldest
    public var dropout: Float = 0.2
    public var attentionDropout: Float = 0.2
    public var activation = Activation.gelu
    public var normEpsilon: Float = 1e-12
    public var initialStd: Float = 0.02
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items + 1, dim], the mask last
  let positionEmbedding: Parameter  // [maxLength + 1, dim]
  let embeddingNorm: LayerNorm
  let blocks: [TransformerBlock]
  let head: Linear
  let headNorm: LayerNorm
  let outputBias: Parameter  // [items]

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = Parameter(shape: [c.items + 1, c.dim])
    // A mask stands after the newest items, so there is one position more than items.
    positionEmbedding = Parameter(shape: [c.maxLength + 1, c.dim])
    initializer.normal(itemEmbedding)
    initializer.normal(positionEmbedding)
    embeddingNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
    blocks = (0..<c.blocks).map { _ in TransformerBlock(c.block, using: &initializer) }
    head = Linear(c.dim, c.dim, using: &initializer)
    headNorm = LayerNorm(c.dim, epsilon: c.normEpsilon)
    outputBias = Parameter(shape: [c.items])
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }
  public var maskItem: Int32 { Int32(configuration.items) }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(
      table: itemEmbedding.value.block(rows: 0..<configuration.items), bias: outputBias.value)
  }

  public func encodeMasked(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    finish(blocks.encode(embed(batch, on: pass), batch, on: pass), on: pass)
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let batch = masked(batch)
    return finish(blocks.encodeLast(embed(batch, on: pass), batch, on: pass), on: pass)
  }

  private func embed(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let places =
      configuration.positions == .oldest ? batch.positions : batch.positionsFromNewest
    let x = add(
      gather(itemEmbedding.value, rows: batch.items, on: pass),
      gather(positionEmbedding.value, rows: places, on: pass), on: pass)
    return dropout(
      embeddingNorm(x, on: pass), probability: configuration.dropout, on: pass)
  }

  private func finish(_ x: Tensor, on pass: Pass) -> Tensor {
    headNorm(head(x, activation: .gelu, on: pass), on: pass)
  }

  /// The histories, each with a mask at its end.
  private func masked(_ batch: PackedBatch) -> PackedBatch {
    var items: [Int32] = []
    items.reserveCapacity(batch.tokens + batch.count)
    for s in 0..<batch.count {
      items += batch.items[batch.offsets[s]..<batch.offsets[s + 1]]
      items.append(maskItem)
    }
    return PackedBatch(items: items, offsets: batch.offsets.enumerated().map { $0 + $1 })
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    let n = min(max(length, 1), c.maxLength) + 1
    return Cost(
      parameters: parameterCount,
      macs: c.block.macs(blocks: c.blocks, length: n) + c.dim * c.dim)
  }
}

extension BERT4Rec.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    innerDim = try fields.integer("inner_dim", default: innerDim, in: 1...1_048_576)
    blocks = try fields.integer("blocks", default: blocks, in: 0...1024)
    heads = try fields.heads(default: heads, dividing: dim)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    positions = try fields.choice("positions", default: positions)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    attentionDropout = try fields.float(
      "attention_dropout", default: attentionDropout, from: 0, to: 1)
    activation = try fields.activation(default: activation)
    normEpsilon = try fields.float("norm_epsilon", default: normEpsilon, from: 0, to: 1)
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  var block: TransformerBlock.Configuration {
    var block = TransformerBlock.Configuration(
      dim: dim, innerDim: innerDim, heads: heads, maximalLength: maxLength + 1)
    block.attention = .full
    (block.dropout, block.attentionDropout) = (dropout, attentionDropout)
    (block.activation, block.normEpsilon) = (activation, normEpsilon)
    return block
  }

  var weightCount: Int {
    (items + maxLength + 2) * dim + items + blocks * block.weightCount + dim * dim + 5 * dim
  }
}

extension BERT4Rec {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "bert4rec", "items": \(c.items), "dim": \(c.dim), "inner_dim": \(c.innerDim), \
      "blocks": \(c.blocks), "heads": \(c.heads), "max_length": \(c.maxLength), \
      "positions": "\(c.positions.rawValue)", "dropout": \(c.dropout), \
      "attention_dropout": \(c.attentionDropout), \
      "activation": "\(c.activation.rawValue)", "norm_epsilon": \(c.normEpsilon), \
      "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
