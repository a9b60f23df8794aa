import Autograd
public import Interactions
public import Kernels
import Layers
import Synchronization

/// A model whose first channels are a smaller model of the same kind, and so on: one training run
/// gives models of several widths (Wang et al., "Train Once, Deploy Anywhere: Matryoshka
/// Representation Learning for Multimodal Recommendation", EMNLP Findings 2024).
///
/// The score of size s is the product of the first s numbers of a state with those of an item.
public protocol NestedModel: SequentialModel {
  /// The widths of the models inside, ascending to that of this one; nil where it is not nested.
  var sizes: [Int]? { get }

  /// A model of its own with the first `size` channels of this one; `size` is one of `sizes`.
  ///
  /// - Parameter keepsFeatures: whether features of items stay what they are. Otherwise the table
  ///   that they make becomes the model's own.
  /// - Throws: `InvalidArgument`, `OutOfMemory`.
  func slice(size: Int, keepsFeatures: Bool) throws -> any SequentialModel

  /// How many numbers of each part of a stream's state the model of this size keeps, its first
  /// ones.
  func stateParts(of size: Int) -> [(whole: Int, kept: Int)]
}

extension Recommender {
  /// The same as a nested model, and the widths inside it.
  ///
  /// - Throws: `InvalidArgument` where it is none.
  public func nested() throws(InvalidArgument) -> (model: any NestedModel, sizes: [Int]) {
    guard let model = self as? any NestedModel, let sizes = model.sizes else {
      throw InvalidArgument("this model is not nested: it has one width alone")
    }
    return (model, sizes)
  }
}

extension NestedModel {
  /// The widths up to this one.
  ///
  /// - Throws: `InvalidArgument` where the model was not trained at this size.
  public func require(size: Int) throws(InvalidArgument) -> [Int] {
    let (_, sizes) = try nested()
    try Interactions.require(
      sizes.contains(size), "size \(size) was not trained; sizes are \(sizes)")
    return sizes.filter { $0 <= size }
  }

  /// Gives a smaller model the first rows and columns of this model's weights.
  func copyPrefixes(to small: any SequentialModel) {
    let own = Dictionary(uniqueKeysWithValues: parameters().map { ($0.name, $0.value) })
    for parameter in small.parameters() {
      guard let whole = own[parameter.name] else { continue }
      parameter.value.matrix.copy(from: whole.matrix)
    }
  }

  /// Writes what a stream's state is for the model of some size.
  public func sliceState(_ state: Matrix, size: Int, into small: Matrix) {
    var (from, to) = (0, 0)
    for part in stateParts(of: size) {
      small.columns(to..<(to + part.kept)).copy(from: state.columns(from..<(from + part.kept)))
      (from, to) = (from + part.whole, to + part.kept)
    }
  }
}

extension Fields {
  /// Reads the widths of a nested model; nil where the list is empty.
  mutating func sizes(_ field: String, default standard: [Int] = []) throws(InvalidArgument)
    -> [Int]?
  {
    let sizes = try integers(field, default: standard, in: 1...65536)
    if sizes.isEmpty { return nil }
    try require(
      zip(sizes, sizes.dropFirst()).allSatisfy(<), "\(field) must increase, got \(sizes)")
    // A norm over two numbers leaves their order alone, one over a single number nothing.
    try require(
      chunks(sizes).allSatisfy { $0.count >= 4 },
      "\(field) must begin with at least 4 and be at least 4 apart, got \(sizes)")
    return sizes
  }

  /// Reads the widths of a model of width `dim` that is nested where they are given. `multiples` are
  /// other widths by name, which then are whole multiples.
  mutating func nestedSizes(dim: Int, multiples: KeyValuePairs<String, Int>)
    throws(InvalidArgument) -> [Int]?
  {
    guard let sizes = try sizes("nested_sizes") else { return nil }
    try require(
      sizes.last == dim, "nested_sizes must end with dim, got \(sizes) and dim \(dim)")
    for (name, width) in multiples {
      try require(
        width % dim == 0,
        "\(name) of a nested model must be a multiple of dim, got \(width) and dim \(dim)")
    }
    return sizes
  }
}

/// A tensor that is computed from weights once, until they change.
///
/// Requests that come at once wait for the first of them.
final class Computed {
  private let lock = Mutex<Void>(())
  private var value: Tensor?

  func callAsFunction(_ compute: () -> Tensor) -> Tensor {
    lock.withLock { _ in
      let found = value ?? compute()
      value = found
      return found
    }
  }

  func forget() { lock.withLock { _ in value = nil } }
}
