public import Autograd
public import Interactions
public import Kernels
public import Layers

/// Scores the next item of a history with linear recurrences of all widths at once: the first
/// channels of the largest model are the smaller ones. Items are texts and pictures, numbers of
/// their own, or both.
///
/// Wang et al., "Train Once, Deploy Anywhere: Matryoshka Representation Learning for Multimodal
/// Recommendation", EMNLP Findings 2024.
public struct FMRLRec: StreamingModel, NestedModel, FeatureModel {
  /// How the weights begin.
  public enum Initialization: String, Sendable, CaseIterable {
    /// Uniform within 1 / sqrt(inputs of the level), imaginary parts zero, as in the authors' code.
    case official
    /// Truncated normal, as in LRURec.
    case lrurec
    /// Normal with the variances 1 / (2 inputs) and 1 / channels in the recurrence (Orvieto et al.,
    /// ICML 2023), else official.
    case orvieto
  }

  public struct Configuration: Sendable {
    public var items: Int
    public var sizes = [8, 16, 32, 64, 128, 256, 512, 1024]
    /// The widths of the vectors that are known of items.
    public var features: [Int] = []
    /// Whether each item has a learned vector too.
    public var ids = true
    public var blocks = 2
    /// Complex numbers in the state of a block for each unit of width.
    public var stateFactor = 1
    public var maxLength = 50
    /// Of the items read and in the feed-forward maps.
    public var dropout: Float = 0.5
    /// Of the recurrences' results.
    public var recurrenceDropout: Float = 0.5
    public var normEpsilon: Float = 1e-5
    public var ring = LinearRecurrence.Ring(inner: 0, outer: 0.1, maximalPhase: 2 * .pi)
    public var initialization = Initialization.official
    /// Of the learned vectors of items, and of all that `lrurec` draws.
    public var initialStd: Float = 0.02
    /// Whether the first item of a history is predicted too.
    public var firstItem = true
    /// Whether padding is one of the classes in training.
    public var padClass = true
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }

    public var dim: Int { sizes.last ?? 0 }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter?  // [items + 1, dim]; the last row is padding
  public let features: [any ItemFeature]
  let projectionBias: Parameter?  // [dim]
  let blocks: [Block]
  private let servedTable = Computed()

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = c.ids ? Parameter(shape: [c.items + 1, c.dim]) : nil
    if let itemEmbedding { initializer.normal(itemEmbedding) }
    features = c.features.map { width in
      VectorFeature(
        items: c.items, width: width, dim: c.dim, hasBias: false, using: &initializer)
    }
    projectionBias = c.features.isEmpty ? nil : Parameter(shape: [c.dim])
    blocks = (0..<c.blocks).map { _ in Block(c, using: &initializer) }
    initialize(using: &initializer)
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }
  public var sizes: [Int]? { configuration.sizes }
  private var vectors: [VectorFeature] { features.compactMap { $0 as? VectorFeature } }
  public var beginItem: Int32? {
    configuration.firstItem ? Int32(configuration.items) : nil
  }

  /// The wider the model, the fewer tokens fill a core's cache.
  public var groupTokens: Int { max(128, min(512, 65536 / configuration.dim)) }

  public func weightsChanged() { servedTable.forget() }

  /// The vectors of all items, and of padding after them.
  ///
  /// - Shapes: the result is `[items + 1, dim]`.
  public func computeTable(on pass: Pass) -> Tensor? {
    guard let projectionBias else { return nil }
    return pass.isInference
      ? servedTable { project(projectionBias, on: pass) } : project(projectionBias, on: pass)
  }

  private func project(_ bias: Parameter, on pass: Pass) -> Tensor {
    var sum: Tensor?
    for feature in vectors {
      let part = feature.ofAllItems(bias: sum == nil ? bias.value : nil, on: pass)
      sum = sum.map { add($0, part, on: pass) } ?? part
    }
    let table = sum.unsafelyUnwrapped  // there are features where there is a bias
    return itemEmbedding.map { add(table, $0.value, on: pass) } ?? table
  }

  private func table(on pass: Pass) -> Tensor {
    guard let table = pass.table ?? computeTable(on: pass) ?? itemEmbedding?.value else {
      preconditionFailure("items have neither features nor vectors of their own")
    }
    return table
  }

  public func scorer(on pass: Pass) -> Scorer {
    let table = table(on: pass)
    let isClass = configuration.padClass && !pass.isInference
    return Scorer(table: isClass ? table : table.prefix(rows: itemCount))
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    blocks.encode(embed(batch.items, on: pass), batch, on: pass)
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    blocks.encodeLast(embed(batch.items, on: pass), batch, on: pass)
  }

  public var stateSize: Int? { blocks.stateSize }

  public func advance(_ states: Matrix, by items: [Int32]) -> Tensor {
    blocks.advance(states, by: embed(items, on: .inference))
  }

  private func embed(_ items: [Int32], on pass: Pass) -> Tensor {
    dropout(
      gather(table(on: pass), rows: items, on: pass), probability: configuration.dropout, on: pass)
  }

  public func stateParts(of size: Int) -> [(whole: Int, kept: Int)] {
    blocks.stateParts(of: size, dim: configuration.dim)
  }

  public func slice(size: Int, keepsFeatures: Bool) throws -> any SequentialModel {
    var c = configuration
    c.sizes = try require(size: size)
    let makesTable = !keepsFeatures && !vectors.isEmpty
    if makesTable {
      (c.features, c.ids) = ([], true)
      try Buffer.require(bytes: MemoryLayout<Float>.stride * c.weightCount)
    }
    let small = FMRLRec(c)
    copyPrefixes(to: small)
    if makesTable {
      small.itemEmbedding?.value.matrix.copy(from: table(on: .inference).matrix)
    }
    for (feature, own) in zip(vectors, small.vectors) { try own.set(feature) }
    return small
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    return Cost(
      parameters: parameterCount,
      macs: blocks.macs(
        length: min(max(length, 1), c.maxLength), dim: c.dim, channels: c.stateFactor * c.dim,
        afterwards: 3 * c.square, sizes: c.sizes))
  }

  /// A recurrence, then a gated feed-forward map, each behind a norm and with a residual.
  struct Block: RecurrentBlock {
    let recurrenceNorm: LayerNorm
    let recurrence: LinearRecurrence
    let feedForwardNorm: LayerNorm
    let feedForward: GatedFeedForward
    let dropout: Float
    let recurrenceDropout: Float

    init(_ c: Configuration, using initializer: inout Initializer) {
      recurrenceNorm = LayerNorm(c.dim, epsilon: c.normEpsilon, sizes: c.sizes)
      recurrence = LinearRecurrence(
        dim: c.dim, channels: c.stateFactor * c.dim, ring: c.ring, sizes: c.sizes,
        using: &initializer)
      feedForwardNorm = LayerNorm(c.dim, epsilon: c.normEpsilon, sizes: c.sizes)
      feedForward = GatedFeedForward(
        dim: c.dim, valueDropout: c.dropout, sizes: c.sizes, using: &initializer)
      dropout = c.dropout
      recurrenceDropout = c.recurrenceDropout
    }

    func input(_ x: Tensor, on pass: Pass) -> Tensor { recurrenceNorm(x, on: pass) }

    func finish(_ x: Tensor, _ mixed: Tensor, on pass: Pass) -> Tensor {
      let s = residual(x, mixed, dropout: recurrenceDropout, on: pass)
      let z = feedForward(feedForwardNorm(s, on: pass), on: pass)
      return residual(s, z, dropout: dropout, on: pass)
    }
  }

  private func initialize(using initializer: inout Initializer) {
    guard configuration.initialization != .lrurec else {
      for parameter in parameters()
      where !parameter.name.contains("norm") && !parameter.name.hasSuffix("_log") {
        initializer.truncatedNormal(parameter.parameter)
      }
      return
    }
    let width = configuration.features.reduce(0, +)
    for weight in vectors.map(\.map.weight) + (projectionBias.map { [$0] } ?? []) {
      initializer.uniform(weight, bound: 1 / Float(width).squareRoot())
    }
    for block in blocks {
      if configuration.initialization == .orvieto {
        block.recurrence.initializeNormal(using: &initializer)
      } else {
        block.recurrence.initializeUniform(using: &initializer)
      }
      block.feedForward.initializeUniform(using: &initializer)
    }
  }
}

extension FMRLRec.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    guard let sizes = try fields.sizes("sizes", default: sizes) else {
      throw InvalidArgument("sizes must name at least one width")
    }
    self.sizes = sizes
    for var object in try fields.objects("features") {
      guard case .vectors(let width) = try FeatureSettings.Feature(&object) else {
        throw InvalidArgument("features must be vectors")
      }
      try object.finish()
      features.append(width)
    }
    ids = try fields.flag("ids", default: features.isEmpty)
    try require(ids || !features.isEmpty, "ids must be true where there are no features")
    blocks = try fields.integer("blocks", default: blocks, in: 0...1024)
    stateFactor = try fields.integer("state_factor", default: stateFactor, in: 1...64)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    recurrenceDropout = try fields.float("recurrence_dropout", default: dropout, from: 0, to: 1)
    normEpsilon = try fields.float("norm_epsilon", default: normEpsilon, from: 0, to: 1)
    ring = try fields.ring(default: ring)
    initialization = try fields.choice("initialization", default: initialization)
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    firstItem = try fields.flag("first_item", default: firstItem)
    padClass = try fields.flag("pad_class", default: padClass)
    seed = try fields.seed("seed")
  }

  var square: Int { linearProducts(dim, dim, sizes: sizes) }

  var computedCount: Int { features.isEmpty ? 0 : (items + 1) * dim }

  var weightCount: Int {
    let projection = features.isEmpty ? 0 : (features.reduce(0, +) + 1) * dim
    let perBlock = (4 * stateFactor + 3) * square + 5 * stateFactor * dim + 8 * dim
    return (ids ? (items + 1) * dim : 0) + projection + blocks * perBlock
  }
}

extension FMRLRec {
  public var configurationJSON: String {
    let c = configuration
    let features = c.features.map { "{\"kind\": \"vectors\", \"width\": \($0)}" }
    return """
      {"model": "fmrlrec", "items": \(c.items), "sizes": \(c.sizes), \
      "features": [\(features.joined(separator: ", "))], "ids": \(c.ids), \
      "blocks": \(c.blocks), "state_factor": \(c.stateFactor), "max_length": \(c.maxLength), \
      "dropout": \(c.dropout), "recurrence_dropout": \(c.recurrenceDropout), \
      "norm_epsilon": \(c.normEpsilon), "ring_min": \(c.ring.inner), \
      "ring_max": \(c.ring.outer), "max_phase": \(c.ring.maximalPhase), \
      "initialization": "\(c.initialization.rawValue)", "initial_std": \(c.initialStd), \
      "first_item": \(c.firstItem), "pad_class": \(c.padClass), "seed": \(c.seed)}
      """
  }
}
