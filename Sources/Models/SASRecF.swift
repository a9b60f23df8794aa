public import Autograd
public import Interactions
public import Kernels
public import Layers

/// SASRec on what is known about items: their embeddings and those of their features become one
/// vector before the blocks.
///
/// Zhou et al., "S3-Rec: Self-Supervised Learning for Sequential Recommendation with Mutual
/// Information Maximization", CIKM 2020, compare with it; the form is RecBole's.
public struct SASRecF: StreamingModel, FeatureModel {
  public let settings: FeatureSettings
  let itemEmbedding: Parameter  // [items, dim], and a row of padding with linear_official
  let positionEmbedding: Parameter  // [maxLength, dim]
  public let features: [any ItemFeature]
  let fusion: Linear
  let embeddingNorm: LayerNorm
  let blocks: [TransformerBlock]

  public init(_ settings: FeatureSettings) {
    let s = settings
    self.settings = s
    var initializer = Initializer(seed: s.seed, deviation: s.initialStd)
    itemEmbedding = Parameter(shape: [s.attention.tableRows(items: s.items), s.dim])
    positionEmbedding = Parameter(shape: [s.maxLength, s.dim])
    initializer.normal(itemEmbedding)
    initializer.normal(positionEmbedding)
    features = s.makeFeatures(using: &initializer)
    fusion = Linear((1 + features.count) * s.dim, s.dim, using: &initializer)
    embeddingNorm = LayerNorm(s.dim, epsilon: s.normEpsilon)
    blocks = (0..<s.blocks).map { _ in TransformerBlock(s.block, using: &initializer) }
  }

  public var itemCount: Int { settings.items }
  public var maximalLength: Int { settings.maxLength }
  public var isCausal: Bool { settings.attention.kind.isCausal }
  public var configurationJSON: String { settings.json(model: "sasrecf") }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(table: itemEmbedding.value.prefix(rows: itemCount))
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let input = settings.input(batch)
    let x = blocks.encode(embed(input.batch, on: pass), input.batch, on: pass)
    return input.own(of: x, on: pass)
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let input = settings.input(batch)
    return blocks.encodeLast(
      embed(input.batch, on: pass), input.batch, rows: input.lastTokens, on: pass)
  }

  public func paddedLength(_ length: Int) -> Int { settings.paddedLength(length) }

  private func embed(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    embed(items: batch.items, positions: batch.positions, on: pass)
  }

  private func embed(items: [Int32], positions: [Int32], on pass: Pass) -> Tensor {
    let own = lookUp(items, in: itemEmbedding.value, trained: itemCount, on: pass)
    let known = features.map { $0(items, on: pass) }
    let x = fusion(concatenate([own] + known, on: pass), on: pass)  // [tokens, dim]
    let places = gather(positionEmbedding.value, rows: positions, on: pass)
    return dropout(
      embeddingNorm(add(x, places, on: pass), on: pass), probability: settings.dropout, on: pass)
  }

  /// The number of items so far, at most `maximalLength`, then the sums of each block.
  public var stateSize: Int? {
    settings.attention.kind.streams ? 1 + blocks.stateSize : nil
  }

  /// Beyond `maximalLength` items, states keep all of them and the last position.
  public func advance(_ states: Matrix, by items: [Int32]) -> Tensor {
    let positions = countItem(states, maximalLength: maximalLength)
    let x = embed(items: items, positions: positions, on: .inference)
    return blocks.advance(states.columns(1..<states.columns), by: x, on: .inference)
  }

  public func cost(length: Int) -> Cost {
    let (s, n) = (settings, paddedLength(length))
    let ofToken = features.reduce(fusion.weight.value.count) { $0 + $1.macs }
    return Cost(
      parameters: parameterCount,
      macs: n * ofToken + s.block.macs(blocks: s.blocks, length: n))
  }
}

extension SASRecF {
  struct Configuration: ModelConfiguration {
    let settings: FeatureSettings

    init(_ fields: inout Fields) throws(InvalidArgument) {
      settings = try FeatureSettings(&fields, pooling: .sum)
    }

    var weightCount: Int {
      let s = settings
      return s.tableWeights + (1 + s.features.count) * s.dim * s.dim + 3 * s.dim + s.blocks
        * s.block.weightCount
    }
  }

  init(_ configuration: Configuration) { self.init(configuration.settings) }
}
