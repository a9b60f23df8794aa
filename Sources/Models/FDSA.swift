public import Autograd
public import Interactions
public import Kernels
public import Layers

/// Two stacks of self-attention, one over items and one over what is known about them, whose last
/// states become one.
///
/// Zhang et al., "Feature-level Deeper Self-Attention Network for Sequential Recommendation", IJCAI
/// 2019, in RecBole's form: one norm and one table of positions serve both stacks.
public struct FDSA: StreamingModel, FeatureModel {
  public let settings: FeatureSettings
  let itemEmbedding: Parameter  // [items, dim], and a row of padding with linear_official
  let positionEmbedding: Parameter  // [maxLength, dim]
  public let features: [any ItemFeature]
  let fieldAttention: FieldAttention
  let embeddingNorm: LayerNorm
  let itemBlocks: [TransformerBlock]
  let featureBlocks: [TransformerBlock]
  let output: Linear

  public init(_ settings: FeatureSettings) {
    let s = settings
    self.settings = s
    var initializer = Initializer(seed: s.seed, deviation: s.initialStd)
    itemEmbedding = Parameter(shape: [s.attention.tableRows(items: s.items), s.dim])
    positionEmbedding = Parameter(shape: [s.maxLength, s.dim])
    initializer.normal(itemEmbedding)
    initializer.normal(positionEmbedding)
    features = s.makeFeatures(using: &initializer)
    fieldAttention = FieldAttention(dim: s.dim, using: &initializer)
    embeddingNorm = LayerNorm(s.dim, epsilon: s.normEpsilon)
    itemBlocks = (0..<s.blocks).map { _ in TransformerBlock(s.block, using: &initializer) }
    featureBlocks = (0..<s.blocks).map { _ in TransformerBlock(s.block, using: &initializer) }
    output = Linear(2 * s.dim, s.dim, using: &initializer)
  }

  public var itemCount: Int { settings.items }
  public var maximalLength: Int { settings.maxLength }
  public var isCausal: Bool { settings.attention.kind.isCausal }
  public var configurationJSON: String { settings.json(model: "fdsa") }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(table: itemEmbedding.value.prefix(rows: itemCount))
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let input = settings.input(batch)
    let (x, z) = embed(input.batch, on: pass)
    return join(
      input.own(of: itemBlocks.encode(x, input.batch, on: pass), on: pass),
      input.own(of: featureBlocks.encode(z, input.batch, on: pass), on: pass), on: pass)
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let input = settings.input(batch)
    let (x, z) = embed(input.batch, on: pass)
    return join(
      itemBlocks.encodeLast(x, input.batch, rows: input.lastTokens, on: pass),
      featureBlocks.encodeLast(z, input.batch, rows: input.lastTokens, on: pass), on: pass)
  }

  public func paddedLength(_ length: Int) -> Int { settings.paddedLength(length) }

  private func embed(_ batch: PackedBatch, on pass: Pass) -> (items: Tensor, features: Tensor) {
    embed(items: batch.items, positions: batch.positions, on: pass)
  }

  /// What the two stacks run on, `[tokens, dim]` each.
  private func embed(items: [Int32], positions: [Int32], on pass: Pass)
    -> (items: Tensor, features: Tensor)
  {
    let places = gather(positionEmbedding.value, rows: positions, on: pass)
    func normalize(_ x: Tensor) -> Tensor {
      dropout(
        embeddingNorm(add(x, places, on: pass), on: pass), probability: settings.dropout, on: pass)
    }
    let own = lookUp(items, in: itemEmbedding.value, trained: itemCount, on: pass)
    let known = fieldAttention(features.map { $0(items, on: pass) }, on: pass)
    return (normalize(own), normalize(known))
  }

  /// The states of the model from those of the two stacks.
  private func join(_ items: Tensor, _ features: Tensor, on pass: Pass) -> Tensor {
    let h = output(concatenate([items, features], on: pass), on: pass)
    return dropout(embeddingNorm(h, on: pass), probability: settings.dropout, on: pass)
  }

  /// The number of items so far, at most `maximalLength`, then the sums of each block.
  public var stateSize: Int? {
    settings.attention.kind.streams
      ? 1 + itemBlocks.stateSize + featureBlocks.stateSize : nil
  }

  /// Beyond `maximalLength` items, states keep all of them and the last position.
  public func advance(_ states: Matrix, by items: [Int32]) -> Tensor {
    let positions = countItem(states, maximalLength: maximalLength)
    let (x, z) = embed(items: items, positions: positions, on: .inference)
    let middle = 1 + itemBlocks.stateSize
    return join(
      itemBlocks.advance(states.columns(1..<middle), by: x, on: .inference),
      featureBlocks.advance(states.columns(middle..<states.columns), by: z, on: .inference),
      on: .inference)
  }

  public func cost(length: Int) -> Cost {
    let (s, n) = (settings, paddedLength(length))
    let ofToken = features.reduce(features.count * fieldAttention.macs) { $0 + $1.macs }
    return Cost(
      parameters: parameterCount,
      macs: n * ofToken + 2 * s.block.macs(blocks: s.blocks, length: n) + 2 * s.dim * s.dim)
  }

  /// Weighs an item's features by what they hold: with e_j those of one token, the softmax over j of
  /// w_2 ReLU(W_1 e_j + b_1) + b_2.
  struct FieldAttention: Module {
    let expand: Linear
    let score: Linear

    init(dim: Int, using initializer: inout Initializer) {
      expand = Linear(dim, dim, using: &initializer)
      score = Linear(dim, 1, using: &initializer)
    }

    /// - Shapes: parts are `[tokens, dim]`, so is the result.
    func callAsFunction(_ parts: [Tensor], on pass: Pass) -> Tensor {
      let (tokens, count) = (parts[0].rows, parts.count)
      let fields = interleave(parts, on: pass)  // [tokens * parts.count, dim]
      let scores = score(expand(fields, activation: .relu, on: pass), on: pass)
      // The average of all fields of a token stands where the last of them is read.
      let averages = runningAverage(
        fields, scores: scores, offsets: (0...tokens).map { $0 * count }, on: pass)
      return gather(averages, rows: (0..<tokens).map { Int32(($0 + 1) * count - 1) }, on: pass)
    }

    /// Multiply-adds for one feature of one token.
    var macs: Int { expand.weight.value.count + 2 * score.weight.value.count }
  }
}

extension FDSA {
  struct Configuration: ModelConfiguration {
    let settings: FeatureSettings

    init(_ fields: inout Fields) throws(InvalidArgument) {
      settings = try FeatureSettings(&fields, pooling: .mean)
    }

    var weightCount: Int {
      let s = settings
      return s.tableWeights + 3 * s.dim * s.dim + 5 * s.dim + 1 + 2 * s.blocks
        * s.block.weightCount
    }
  }

  init(_ configuration: Configuration) { self.init(configuration.settings) }
}
