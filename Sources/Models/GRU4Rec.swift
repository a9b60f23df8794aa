public import Autograd
public import Interactions
public import Kernels
import Layers

/// Scores the next item of a history with gated recurrent units.
///
/// Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016. Its two
/// forms are those of RecBole and of the baseline of NextItNet's authors, which differ in the unit
/// and in the table that scores.
public struct GRU4Rec: SessionModel {
  public struct Configuration: Sendable {
    public var items: Int
    /// The width of the embeddings.
    public var dim = 64
    /// The width of the states.
    public var hiddenDim = 128
    public var layers = 1
    /// Of the embeddings.
    public var dropout: Float = 0.3
    /// Of the states that each layer gives.
    public var outputDropout: Float = 0
    public var form = PackedGRU.Form.recbole
    public var maxLength = 50
    /// Of the embeddings; maps begin as Glorot and Bengio (2010) have them.
    public var initialStd: Float = 0.02
    public var seed: UInt64 = 0

    public init(items: Int) { self.items = items }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items, dim]
  let layers: [GatedRecurrence]
  /// Back to the width of the embeddings, which then score; RecBole's form alone.
  let map: Linear?
  let outputEmbedding: Parameter?  // [items, hiddenDim], TensorFlow's form alone
  let outputBias: Parameter?  // [items], TensorFlow's form alone

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = Parameter(shape: [c.items, c.dim])
    initializer.normal(itemEmbedding)
    layers = (0..<c.layers).map {
      GatedRecurrence(
        c.form, inputs: $0 == 0 ? c.dim : c.hiddenDim, width: c.hiddenDim, using: &initializer)
    }
    switch c.form {
    case .recbole:
      let map = Linear(c.hiddenDim, c.dim, using: &initializer)
      initializer.glorot(map.weight)
      (self.map, outputEmbedding, outputBias) = (map, nil, nil)
    case .tensorflow:
      let table = Parameter(shape: [c.items, c.hiddenDim])
      initializer.normal(table)
      (map, outputEmbedding, outputBias) = (nil, table, Parameter(shape: [c.items]))
    }
  }

  public var itemCount: Int { configuration.items }
  public var maximalLength: Int { configuration.maxLength }
  /// More than others take: each step of time is a product for the histories that have one.
  public var groupTokens: Int { 4096 }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(table: (outputEmbedding ?? itemEmbedding).value, bias: outputBias?.value)
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let h = states(batch, on: pass)
    return map?(h, on: pass) ?? h
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    guard pass.tape == nil else {
      return gather(encode(batch, on: pass), rows: batch.lastTokens, on: pass)
    }
    let h = gather(states(batch, on: pass), rows: batch.lastTokens, on: pass)
    return map?(h, on: pass) ?? h
  }

  public var stateSize: Int? { configuration.layers * configuration.hiddenDim }

  public func advance(_ states: Matrix, by items: [Int32], on pass: Pass) -> Tensor {
    let width = configuration.hiddenDim
    var x = embed(items, on: pass)
    for (i, layer) in layers.enumerated() {
      let own = states.block(column: i * width, rows: states.rows, columns: width)
      x = dropout(
        layer.advance(own, by: x, on: pass), probability: configuration.outputDropout, on: pass)
    }
    return map?(x, on: pass) ?? x
  }

  private func embed(_ items: [Int32], on pass: Pass) -> Tensor {
    dropout(
      gather(itemEmbedding.value, rows: items, on: pass), probability: configuration.dropout,
      on: pass)
  }

  /// - Shapes: the result is `[tokens, hiddenDim]`.
  private func states(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    layers.reduce(embed(batch.items, on: pass)) { x, layer in
      dropout(layer(x, batch, on: pass), probability: configuration.outputDropout, on: pass)
    }
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    let n = min(max(length, 1), c.maxLength)
    // Both maps, and the products of the candidate and the update with their gates.
    let layers = (0..<c.layers).reduce(0) { sum, i in
      sum + 3 * c.hiddenDim * ((i == 0 ? c.dim : c.hiddenDim) + c.hiddenDim) + 2 * c.hiddenDim
    }
    let map = c.form == .recbole ? c.hiddenDim * c.dim : 0
    return Cost(parameters: parameterCount, macs: n * layers + map)
  }
}

extension GRU4Rec.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    self.init(items: try fields.integer("items", in: 1...Int(Int32.max)))
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    hiddenDim = try fields.integer("hidden_dim", default: hiddenDim, in: 1...65536)
    layers = try fields.integer("layers", default: layers, in: 1...1024)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    outputDropout = try fields.float("output_dropout", default: outputDropout, from: 0, to: 1)
    form = try fields.choice("form", default: form)
    maxLength = try fields.integer("max_length", default: maxLength, in: 1...1_000_000)
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  var weightCount: Int {
    let bias = form == .tensorflow ? 3 * hiddenDim : 0
    let units = 3 * hiddenDim * (dim + (2 * layers - 1) * hiddenDim) + layers * bias
    let output = form == .tensorflow ? items * (hiddenDim + 1) : (hiddenDim + 1) * dim
    return items * dim + units + output
  }
}

extension GRU4Rec {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "gru4rec", "items": \(c.items), "dim": \(c.dim), "hidden_dim": \(c.hiddenDim), \
      "layers": \(c.layers), "dropout": \(c.dropout), "output_dropout": \(c.outputDropout), \
      "form": "\(c.form.rawValue)", "max_length": \(c.maxLength), \
      "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
