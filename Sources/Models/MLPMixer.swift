public import Autograd
public import Interactions
import Layers

/// Scores the next item of a history with an MLP-Mixer over its newest items.
///
/// The long module of AutoMLP: Li et al., "AutoMLP: Automated MLP for Sequential Recommendations",
/// WWW 2023. Not causal: every position sees all others, so only the last one can be trained.
public struct MLPMixer: SequentialModel {
  public struct Configuration: Sendable {
    public var items: Int
    public var dim = 64
    public var layers = 2
    /// The width of the nets over positions.
    public var tokenDim = 64
    /// The width of the nets over channels.
    public var channelDim = 256
    public var dropout: Float = 0.2
    public var maxLength = 50
    public var normEpsilon: Float = 1e-5
    public var initialStd: Float = 0.02
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items, dim]
  let layers: [MixerLayer]
  let finalNorm: LayerNorm

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = Parameter(shape: [c.items, c.dim])
    initializer.normal(itemEmbedding)
    layers = (0..<c.layers).map { _ in MixerLayer(c.layer, using: &initializer) }
    finalNorm = LayerNorm(c.dim, epsilon: 1e-12)
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }
  /// More than others take: few histories have as many padded tokens, and the loss wants many.
  public var groupTokens: Int { 2048 }
  public func paddedLength(_ length: Int) -> Int { configuration.maxLength }

  public func scorer(on pass: Pass) -> Scorer { Scorer(table: itemEmbedding.value) }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    var x = embed(batch, on: pass)
    for layer in layers.dropLast() { x = layer(x, on: pass) }
    let newest = layers.last?.last(x, on: pass) ?? x.block(rows: (x.rows - batch.count)..<x.rows)
    return finalNorm(newest, on: pass)
  }

  /// The embeddings position by position, with zeros before the beginning of short histories.
  ///
  /// - Shapes: the result is `[maxLength * batch.count, dim]`.
  private func embed(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let length = configuration.maxLength
    var rows: [Int32] = []
    rows.reserveCapacity(batch.tokens)
    for s in 0..<batch.count {
      let tokens = batch.offsets[s + 1] - batch.offsets[s]
      rows += ((length - tokens)..<length).map { Int32($0 * batch.count + s) }
    }
    return scatter(
      gather(itemEmbedding.value, rows: batch.items, on: pass), rows: rows,
      count: length * batch.count, on: pass)
  }

  public func cost(length: Int) -> Cost {
    Cost(
      parameters: parameterCount, macs: configuration.layer.macs(layers: configuration.layers))
  }
}

extension MLPMixer.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    layers = try fields.integer("layers", default: layers, in: 0...1024)
    tokenDim = try fields.integer("token_dim", default: tokenDim, in: 1...65536)
    channelDim = try fields.integer("channel_dim", default: channelDim, in: 1...1_048_576)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    normEpsilon = try fields.float("norm_epsilon", default: normEpsilon, from: 0, to: 1)
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  var layer: MixerLayer.Configuration {
    var layer = MixerLayer.Configuration(
      length: maxLength, dim: dim, tokenDim: tokenDim, channelDim: channelDim)
    (layer.dropout, layer.normEpsilon) = (dropout, normEpsilon)
    return layer
  }

  var weightCount: Int { items * dim + layers * layer.weightCount + 2 * dim }
}

extension MLPMixer {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "mixer", "items": \(c.items), "dim": \(c.dim), "layers": \(c.layers), \
      "token_dim": \(c.tokenDim), "channel_dim": \(c.channelDim), "dropout": \(c.dropout), \
      "max_length": \(c.maxLength), "norm_epsilon": \(c.normEpsilon), \
      "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
