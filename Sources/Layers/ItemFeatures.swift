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
  /// Nil while all are zero.
  private var vectors: Tensor?  // [items, width]

  /// Makes a feature whose vectors are zero.
  public init(items: Int, width: Int, dim: Int, using initializer: inout Initializer) {
    map = Linear(width, dim, using: &initializer)
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
    let own = vectors ?? Tensor(shape: [items, width])
    if let start = numbers.baseAddress { own.pointer.update(from: start, count: numbers.count) }
    vectors = own
  }

  public func callAsFunction(_ items: [Int32], on pass: Pass) -> Tensor {
    let x = Tensor(shape: [items.count, width])
    x.matrix.zero()
    if let vectors {
      for (i, item) in items.enumerated() where item < self.items {
        (x.pointer + i * width).update(from: vectors.pointer + Int(item) * width, count: width)
      }
    }
    return map(x, on: pass)
  }
}
