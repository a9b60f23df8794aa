public import Autograd
public import Interactions
import Layers

/// Scores the next item of a history with convolutions over the image that its newest items make,
/// one row an item: filters over some rows and all columns, and filters over all rows of a column.
///
/// Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence
/// Embedding", WSDM 2018. The form for text is the baseline of NextItNet's authors.
public struct Caser: CausalModel {
  public enum Form: String, Sendable, CaseIterable {
    /// Filters of all heights, and a map from what they find to the state.
    case original
    /// Filters of heights 2, 3 and 4, whose results are the state.
    case text
  }

  public struct Configuration: Sendable {
    public var items: Int
    /// People whose vectors join the states; others have zeros. In the original form alone.
    public var users = 0
    public var form: Form
    public var dim = 50
    /// Rows of the image.
    public var window = 5
    /// Filters of each height.
    public var horizontalFilters: Int
    public var verticalFilters: Int
    /// Of what the filters find.
    public var dropout: Float = 0.5
    public var maxLength = 5
    /// Of the tables; filters and the map begin as PyTorch's do.
    public var initialStd: Float = 0.02
    public var seed: UInt64 = 0

    public init(items: Int, form: Form = .original) {
      self.items = items
      self.form = form
      (horizontalFilters, verticalFilters) = form == .original ? (16, 4) : (100, 1)
    }

    /// Of the horizontal filters.
    var heights: ClosedRange<Int> { form == .original ? 1...window : 2...4 }

    /// Numbers that the filters find.
    var filterDim: Int { verticalFilters * dim + heights.count * horizontalFilters }

    var stateDim: Int { form == .text ? filterDim : users > 0 ? 2 * dim : dim }
  }

  public let configuration: Configuration
  let itemEmbedding: Parameter  // [items, dim]
  let userEmbedding: Parameter?  // [users, dim]
  /// By height: `[horizontalFilters, height * dim]`.
  let horizontal: [Convolution]
  let vertical: Convolution  // [verticalFilters, window]
  let map: Linear?  // in the original form
  let outputEmbedding: Parameter  // [items, stateDim]
  let outputBias: Parameter  // [items]

  public init(_ configuration: Configuration) {
    let c = configuration
    self.configuration = c
    var initializer = Initializer(seed: c.seed, deviation: c.initialStd)
    itemEmbedding = Parameter(shape: [c.items, c.dim])
    initializer.normal(itemEmbedding)
    userEmbedding = c.users > 0 ? Parameter(shape: [c.users, c.dim]) : nil
    if let userEmbedding { initializer.normal(userEmbedding) }
    horizontal = c.heights.map {
      Convolution(c.dim, c.horizontalFilters, kernel: $0, using: &initializer)
    }
    vertical = Convolution(1, c.verticalFilters, kernel: c.window, using: &initializer)
    map = c.form == .original ? Linear(c.filterDim, c.dim, using: &initializer) : nil
    outputEmbedding = Parameter(shape: [c.items, c.stateDim])
    initializer.normal(outputEmbedding)
    outputBias = Parameter(shape: [c.items])
    if c.form == .text { outputBias.fill(0.1) }
    var maps = (horizontal + [vertical]).map { ($0.weight, $0.bias) }
    if let map, let bias = map.bias { maps.append((map.weight, bias)) }
    for (weight, bias) in maps {
      let bound = 1 / Float(weight.value.columns).squareRoot()
      initializer.uniform(weight, bound: bound)
      initializer.uniform(bias, bound: bound)
    }
  }

  public var itemCount: Int { configuration.items }
  public var userCount: Int { configuration.users }
  public var maximalLength: Int { configuration.maxLength }

  public func scorer(on pass: Pass) -> Scorer {
    Scorer(table: outputEmbedding.value, bias: outputBias.value)
  }

  public func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    let users = batch.users.map { users in
      (0..<batch.count).flatMap { s in
        repeatElement(users[s], count: batch.offsets[s + 1] - batch.offsets[s])
      }
    }
    let taps = ConvolutionTaps(
      kernel: configuration.window, dilation: 1, offsets: batch.offsets)
    return state(batch, rows: nil, taps, users, on: pass)
  }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    // Items before the image leave no trace.
    let newest = batch.newest(configuration.window)
    let stack = ConvolutionStack(
      lastOf: newest.offsets, kernel: configuration.window, dilations: [1])
    return state(newest, rows: newest.lastTokens, stack.taps[0], batch.users, on: pass)
  }

  /// The states at some rows, or at all.
  ///
  /// - Parameters:
  ///   - taps: the rows of the image of each state.
  ///   - users: whose each state is.
  private func state(
    _ batch: PackedBatch, rows: [Int32]?, _ taps: ConvolutionTaps, _ users: [Int32]?,
    on pass: Pass
  ) -> Tensor {
    let c = configuration
    let x = gather(itemEmbedding.value, rows: batch.items, on: pass)  // [tokens, dim]
    let columns = weightedRows(
      x, weight: vertical.weight.value, bias: vertical.bias.value, taps: taps, on: pass)
    let strips = zip(c.heights, horizontal).map { height, filters in
      let found = filters(
        x, ConvolutionTaps(kernel: height, dilation: 1, offsets: batch.offsets), on: pass)
      // A strip of rows that are all before the history gives the bias.
      let largest = slidingMaximum(
        found, before: filters.bias.value, width: c.window - height + 1, offsets: batch.offsets,
        on: pass)
      return rows.map { gather(largest, rows: $0, on: pass) } ?? largest
    }
    let horizontals = activate(concatenate(strips, on: pass), .relu, on: pass)
    let verticals = c.form == .text ? activate(columns, .relu, on: pass) : columns
    let found = dropout(
      concatenate([verticals, horizontals], on: pass), probability: c.dropout, on: pass)
    let state = map?(found, activation: .relu, on: pass) ?? found
    return vectors(of: users, count: state.rows, on: pass)
      .map { concatenate([state, $0], on: pass) } ?? state
  }

  /// The vectors of some people, zeros where one is unknown; nil where the model knows nobody.
  private func vectors(of users: [Int32]?, count: Int, on pass: Pass) -> Tensor? {
    guard let userEmbedding else { return nil }
    let known = (users ?? []).enumerated().filter { $0.element >= 0 }
    return scatter(
      gather(userEmbedding.value, rows: known.map(\.element), on: pass),
      rows: known.map { Int32($0.offset) }, count: count, on: pass)
  }

  public func cost(length: Int) -> Cost {
    let c = configuration
    let n = min(max(length, 1), c.maxLength, c.window)
    let horizontals = n * c.heights.reduce(0, +) * c.dim * c.horizontalFilters
    let map = c.form == .original ? c.filterDim * c.dim : 0
    return Cost(
      parameters: parameterCount, macs: horizontals + n * c.verticalFilters * c.dim + map)
  }
}

extension Caser.Configuration: ModelConfiguration {
  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    let items = try fields.integer("items", in: 1...Int(Int32.max))
    self.init(items: items, form: try fields.choice("form", default: Caser.Form.original))
    users = try fields.integer("users", default: users, in: 0...Int(Int32.max))
    try require(users == 0 || form == .original, "users need form \"original\", got \"text\"")
    dim = try fields.integer("dim", default: dim, in: 1...65536)
    window = try fields.integer("window", default: window, in: 1...1024)
    try require(
      form == .original || window >= 4,
      "window must be at least 4 for form \"text\", got \(window)")
    horizontalFilters = try fields.integer(
      "horizontal_filters", default: horizontalFilters, in: 1...65536)
    verticalFilters = try fields.integer(
      "vertical_filters", default: verticalFilters, in: 1...65536)
    dropout = try fields.float("dropout", default: dropout, from: 0, to: 1)
    maxLength = try fields.integer("max_length", default: window, in: 1...1_000_000)
    initialStd = try fields.float("initial_std", default: initialStd, from: 0)
    seed = try fields.seed("seed")
  }

  var weightCount: Int {
    let horizontal = horizontalFilters * (heights.reduce(0, +) * dim + heights.count)
    let map = form == .original ? (filterDim + 1) * dim : 0
    return items * (dim + stateDim + 1) + users * dim + horizontal
      + verticalFilters * (window + 1) + map
  }
}

extension Caser {
  public var configurationJSON: String {
    let c = configuration
    return """
      {"model": "caser", "items": \(c.items), "users": \(c.users), "form": "\(c.form.rawValue)", \
      "dim": \(c.dim), "window": \(c.window), "horizontal_filters": \(c.horizontalFilters), \
      "vertical_filters": \(c.verticalFilters), "dropout": \(c.dropout), \
      "max_length": \(c.maxLength), "initial_std": \(c.initialStd), "seed": \(c.seed)}
      """
  }
}
