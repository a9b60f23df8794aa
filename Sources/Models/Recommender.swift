public import Autograd
public import Interactions
public import Kernels
public import Layers
import VectorLoops

/// What a model costs.
public struct Cost: Equatable, Sendable {
  /// Trained numbers.
  public var parameters: Int
  /// Multiply-adds to encode one history up to the state that scores items.
  public var macs: Int
  /// Bytes of the weights.
  public var bytes: Int { parameters * MemoryLayout<Float>.stride }

  public init(parameters: Int, macs: Int) {
    self.parameters = parameters
    self.macs = macs
  }
}

/// A model that scores every item as the next one of a history.
public protocol Recommender: Module {
  var itemCount: Int { get }
  /// The newest items of a history that the model looks at.
  var maximalLength: Int { get }
  /// The settings that make the same model again, as a JSON object.
  var configurationJSON: String { get }

  /// Writes the scores after each history; none is empty.
  ///
  /// - Shapes: `scores` is `[batch.count, itemCount]`.
  func score(_ batch: PackedBatch, into scores: Matrix)

  /// The vectors by which items are alike, `[itemCount, dim]`, or nil where the model has none.
  var itemVectors: Tensor? { get }

  func cost(length: Int) -> Cost

  /// Forgets what was computed from the weights, which have changed.
  func weightsChanged()
}

extension Recommender {
  public func weightsChanged() {}

  /// The number of trained numbers.
  public var parameterCount: Int { parameters().reduce(0) { $0 + $1.value.count } }
}

/// What turns states into scores: z = h table^T + bias.
public struct Scorer {
  /// - Shapes: `[itemCount, dim]`
  public let table: Tensor
  /// - Shapes: `[itemCount]`
  public let bias: Tensor?

  public init(table: Tensor, bias: Tensor? = nil) {
    self.table = table
    self.bias = bias
  }

  /// Writes the scores of all items for each state.
  ///
  /// - Shapes: `states` is `[rows, dim]`, `scores` is `[rows, itemCount]`.
  public func score(_ states: Matrix, into scores: Matrix) {
    score(states, columns: 0..<states.columns, into: scores)
  }

  /// The same for some columns of states and table: the first ones write, the others add.
  public func score(_ states: Matrix, columns: Range<Int>, into scores: Matrix) {
    let isFirst = columns.lowerBound == 0
    gemm(
      states.columns(columns), table.matrix.columns(columns), transposeB: true, into: scores,
      beta: isFirst ? 0 : 1, bias: isFirst ? bias.map { Input($0.pointer) } : nil)
  }
}

/// A recommender that is trained by gradients: it turns histories into states, whose products with
/// a table of items are scores.
public protocol SequentialModel: Recommender {
  /// The states after the last token of each history, recorded where the pass has a tape.
  ///
  /// - Shapes: the result is `[batch.count, dim]`.
  func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor

  /// The table of items where it is computed from weights, nil where it is a parameter. Training
  /// asks once a step, and gives the table to all passes of the step.
  func computeTable(on pass: Pass) -> Tensor?

  /// The table and the bias of this moment.
  func scorer(on pass: Pass) -> Scorer

  /// Whether the state after a token depends on that token and those before it alone.
  var isCausal: Bool { get }

  /// People whom the model knows by their numbers; 0 where it takes everybody alike.
  var userCount: Int { get }

  /// What stands before the first item where that is predicted too, from the state after this
  /// alone; nil where training begins with the second item.
  var beginItem: Int32? { get }

  /// Tokens that go through the model together in training: few enough that what they leave behind
  /// stays in a core's cache, and enough for its matrix products.
  var groupTokens: Int { get }

  /// The tokens that the model computes for a history of this length: more where it pads.
  func paddedLength(_ length: Int) -> Int
}

/// A model with a state after each token. Where it is causal, all positions of a history train at
/// once.
public protocol CausalModel: SequentialModel {
  /// - Shapes: the result is `[batch.tokens, dim]`.
  func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor
}

/// A model that fills gaps in histories, and so trains on tokens that are hidden from it.
public protocol MaskedModel: SequentialModel {
  /// What stands in the place of a hidden item.
  var maskItem: Int32 { get }

  /// The states of all tokens, some of which are `maskItem`.
  ///
  /// - Shapes: the result is `[batch.tokens, dim]`.
  func encodeMasked(_ batch: PackedBatch, on pass: Pass) -> Tensor
}

/// A causal model that reads a history item by item, at a cost that does not depend on its length.
public protocol StreamingModel: CausalModel {
  /// The numbers that stand for one person's past, or nil where the configuration cannot stream.
  var stateSize: Int? { get }

  /// Advances each state by one item and returns what `encode` gives there. Before the first item
  /// a state is all zeros.
  ///
  /// - Shapes: `states` is `[people, stateSize]`, changed in place; the result is `[people, dim]`.
  func advance(_ states: Matrix, by items: [Int32]) -> Tensor
}

/// A streaming model that can train item by item.
public protocol SessionModel: StreamingModel {
  /// What `advance` gives, recorded; no gradient flows into the states from before.
  func advance(_ states: Matrix, by items: [Int32], on pass: Pass) -> Tensor
}

extension SessionModel {
  public func advance(_ states: Matrix, by items: [Int32]) -> Tensor {
    advance(states, by: items, on: .inference)
  }
}

extension SequentialModel {
  public var isCausal: Bool { false }
  public var userCount: Int { 0 }
  public var beginItem: Int32? { nil }
  public func computeTable(on pass: Pass) -> Tensor? { nil }
  public var groupTokens: Int { 512 }
  public func paddedLength(_ length: Int) -> Int { length }
  public var itemVectors: Tensor? { scorer(on: .inference).table }

  public func score(_ batch: PackedBatch, into scores: Matrix) {
    scorer(on: .inference).score(encodeLast(batch, on: .inference).matrix, into: scores)
  }
}

extension CausalModel {
  public var isCausal: Bool { true }

  public func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
    gather(encode(batch, on: pass), rows: batch.lastTokens, on: pass)
  }
}
