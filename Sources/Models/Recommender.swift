public import Autograd
public import Interactions
public import Kernels
public import Layers

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
}

extension Recommender {
  /// The number of trained numbers.
  public var parameterCount: Int { parameters().reduce(0) { $0 + $1.value.count } }
}

/// A recommender that is trained by gradients: it turns histories into states, whose products with
/// a table of items are scores.
public protocol SequentialModel: Recommender {
  /// The states after each token.
  ///
  /// - Shapes: the result is `[batch.tokens, dim]`.
  func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor

  /// The states after the last token of each history, without recording or dropout.
  ///
  /// - Shapes: the result is `[batch.count, dim]`.
  func encodeLast(_ batch: PackedBatch) -> Tensor

  /// - Shapes: `[itemCount, dim]`.
  var outputTable: Tensor { get }
}

extension SequentialModel {
  public func score(_ batch: PackedBatch, into scores: Matrix) {
    gemm(encodeLast(batch).matrix, outputTable.matrix, transposeB: true, into: scores)
  }

  public var itemVectors: Tensor? { outputTable }
}
