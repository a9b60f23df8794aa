public import Autograd
public import Interactions
import Kernels

/// Something known about items beside their numbers, which a model reads as vectors of its width.
public protocol ItemFeature: AnyObject, Module {
  /// The feature's vectors for some items; those from the number of items on stand for none.
  ///
  /// - Shapes: the result is `[items.count, dim]`.
  func callAsFunction(_ items: [Int32], on pass: Pass) -> Tensor

  /// Multiply-adds for one item.
  var macs: Int { get }
}

/// Values of which each item has none, one or several, each with a learned vector; an item's own
/// are pooled.
public final class CategoryFeature: ItemFeature {
  public let embedding: Parameter  // [values, dim]
  private let pooling: Pooling
  private var values: [Int32] = []
  private var offsets: [Int]

  /// Makes a feature of which no item has a value yet.
  public init(
    items: Int, values: Int, dim: Int, pooling: Pooling, using initializer: inout Initializer
  ) {
    embedding = Parameter(shape: [values, dim])
    initializer.normal(embedding)
    self.pooling = pooling
    offsets = Array(repeating: 0, count: items + 1)
  }

  public var valueCount: Int { embedding.value.rows }
  public let macs = 0

  /// Gives each item its values, a row for each.
  public func set(_ rows: Histories) {
    precondition(rows.count == offsets.count - 1, "\(rows.count) rows of values")
    values = Array(rows.items[rows.range(0).lowerBound..<rows.range(rows.count - 1).upperBound])
    offsets = rows.offsets.map { Int($0 - rows.offsets[0]) }
  }

  public func callAsFunction(_ items: [Int32], on pass: Pass) -> Tensor {
    var rows: [Int32] = []
    var ends = [0]
    for item in items {
      if item < offsets.count - 1 {
        rows += values[offsets[Int(item)]..<offsets[Int(item) + 1]]
      }
      ends.append(rows.count)
    }
    return pool(embedding.value, rows: rows, offsets: ends, by: pooling, on: pass)
  }
}

/// A given vector of each item behind a learned map.
public final class VectorFeature: ItemFeature {
  public let map: Linear
  private let items: Int
  /// The last row is zero and stands for none. Nil while all are zero.
  private var vectors: Tensor?  // [items + 1, width]

  /// Makes a feature whose vectors are zero.
  public init(
    items: Int, width: Int, dim: Int, hasBias: Bool = true, using initializer: inout Initializer
  ) {
    map = Linear(width, dim, hasBias: hasBias, using: &initializer)
    self.items = items
  }

  public var width: Int { map.weight.value.columns }
  public var macs: Int { map.weight.value.count }

  /// Gives each item its vector.
  ///
  /// - Shapes: `numbers` is `[items, width]`.
  /// - Throws: `OutOfMemory`.
  public func set(_ numbers: UnsafeBufferPointer<Float>) throws {
    precondition(numbers.count == items * width, "\(numbers.count) numbers of vectors")
    try Buffer.require(bytes: numbers.count * MemoryLayout<Float>.stride)
    let own = vectors ?? zeros(rows: items + 1)
    if let start = numbers.baseAddress { own.pointer.update(from: start, count: numbers.count) }
    vectors = own
  }

  /// Gives each item the vector that it has in another feature of the same width.
  ///
  /// - Throws: `OutOfMemory`.
  public func set(_ other: VectorFeature) throws {
    guard let vectors = other.vectors else { return }
    try set(UnsafeBufferPointer(start: vectors.pointer, count: items * width))
  }

  /// The mapped vectors of all items and of none, with a bias that all features of a model share.
  ///
  /// - Shapes: `bias` is `[dim]`, the result is `[items + 1, dim]`.
  public func ofAllItems(bias: Tensor?, on pass: Pass) -> Tensor {
    linear(
      vectors ?? zeros(rows: items + 1), weight: map.weight.value, bias: bias ?? map.bias?.value,
      on: pass)
  }

  public func callAsFunction(_ items: [Int32], on pass: Pass) -> Tensor {
    guard let vectors else { return map(zeros(rows: items.count), on: pass) }
    let rows = items.map { min($0, Int32(self.items)) }
    return map(gather(vectors, rows: rows, on: pass), on: pass)
  }

  private func zeros(rows: Int) -> Tensor {
    let x = Tensor(shape: [rows, width])
    x.matrix.zero()
    return x
  }
}
