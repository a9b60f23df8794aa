/// What people did, oldest first, in compressed-sparse-row form: history u is
/// `items[offsets[u] ..< offsets[u + 1]]`.
///
/// A view of memory that somebody else owns, or of `Storage`.
public struct Histories {
  public let items: UnsafeBufferPointer<Int32>
  public let offsets: UnsafeBufferPointer<Int64>
  /// Whose history each row is, for models that know people; -1 stands for somebody unknown.
  public let users: UnsafeBufferPointer<Int32>?
  private let storage: Storage?

  private final class Storage {
    let items: UnsafeMutableBufferPointer<Int32>
    let offsets: UnsafeMutableBufferPointer<Int64>
    let users: UnsafeMutableBufferPointer<Int32>?

    init(
      items: UnsafeBufferPointer<Int32>, offsets: UnsafeBufferPointer<Int64>,
      users: UnsafeBufferPointer<Int32>?
    ) {
      func copy<Number>(_ source: UnsafeBufferPointer<Number>)
        -> UnsafeMutableBufferPointer<Number>
      {
        let copy = UnsafeMutableBufferPointer<Number>.allocate(capacity: source.count)
        _ = copy.initialize(from: source)
        return copy
      }
      self.items = copy(items)
      self.offsets = copy(offsets)
      self.users = users.map { copy($0) }
    }

    deinit {
      items.deallocate()
      offsets.deallocate()
      users?.deallocate()
    }
  }

  /// Refers to a caller's arrays, which must stay while this value is used.
  ///
  /// - Parameter noun: what messages call one of `items`.
  /// - Throws: `InvalidArgument` where offsets fall, leave the items, or an item is not in `0 ..<
  ///   itemCount`.
  public init(
    items: UnsafeBufferPointer<Int32>, offsets: UnsafeBufferPointer<Int64>,
    users: UnsafeBufferPointer<Int32>? = nil, itemCount: Int, name: String, noun: String = "item"
  ) throws(InvalidArgument) {
    try require(!offsets.isEmpty, "\(name): offsets are empty, expected one more than rows")
    var last = offsets[0]
    try require(last >= 0, "\(name): offsets begin at \(last), below 0")
    for (row, offset) in offsets.enumerated() {
      try require(
        offset >= last, "\(name): offsets fall from \(last) to \(offset) at row \(row - 1)")
      last = offset
    }
    try require(last <= items.count, "\(name): offsets end at \(last), beyond \(items.count) items")
    for i in Int(offsets[0])..<Int(last) where items[i] < 0 || items[i] >= itemCount {
      throw InvalidArgument("\(name): \(noun) \(items[i]) is not in 0 ..< \(itemCount)")
    }
    self.items = items
    self.offsets = offsets
    self.users = users
    storage = nil
  }

  private init(storage: Storage) {
    self.storage = storage
    items = UnsafeBufferPointer(storage.items)
    offsets = UnsafeBufferPointer(storage.offsets)
    users = storage.users.map { UnsafeBufferPointer($0) }
  }

  /// Makes histories of its own from rows of items.
  public init(_ rows: [[Int32]], users: [Int32]? = nil) {
    precondition(users == nil || users?.count == rows.count, "a user for each row")
    var offsets: [Int64] = [0]
    for row in rows { offsets.append(offsets[offsets.count - 1] + Int64(row.count)) }
    self = rows.flatMap { $0 }.withUnsafeBufferPointer { items in
      offsets.withUnsafeBufferPointer { offsets in
        (users ?? []).withUnsafeBufferPointer {
          Histories(
            storage: Storage(items: items, offsets: offsets, users: users == nil ? nil : $0))
        }
      }
    }
  }

  /// The same histories in memory of their own.
  public func copy() -> Histories {
    Histories(storage: Storage(items: items, offsets: offsets, users: users))
  }

  public var count: Int { offsets.count - 1 }

  public func range(_ row: Int) -> Range<Int> { Int(offsets[row])..<Int(offsets[row + 1]) }

  public subscript(row: Int) -> UnsafeBufferPointer<Int32> {
    UnsafeBufferPointer(rebasing: items[range(row)])
  }

  /// The row that holds number i of the items.
  public func row(of i: Int) -> Int {
    var (low, high) = (0, count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if Int(offsets[middle]) <= i { low = middle } else { high = middle }
    }
    return low
  }

  /// How often each item occurs.
  public func counts(itemCount: Int) -> [Int] {
    var result = Array(repeating: 0, count: itemCount)
    for i in Int(offsets[0])..<Int(offsets[count]) { result[Int(items[i])] += 1 }
    return result
  }
}

/// Histories back to back without padding, as the models read them.
public struct PackedBatch {
  public let items: [Int32]
  /// History s owns tokens `offsets[s] ..< offsets[s + 1]`.
  public let offsets: [Int]
  /// Whose history each is, for models that know people; -1 stands for somebody unknown.
  public let users: [Int32]?

  public init(items: [Int32], offsets: [Int], users: [Int32]? = nil) {
    self.items = items
    self.offsets = offsets
    self.users = users
  }

  public var count: Int { offsets.count - 1 }
  public var tokens: Int { items.count }

  /// The position of each token in its history, from 0.
  public var positions: [Int32] {
    var result: [Int32] = []
    result.reserveCapacity(tokens)
    for s in 0..<count { result += 0..<Int32(offsets[s + 1] - offsets[s]) }
    return result
  }

  /// The position of each token in its history, from 0 for the newest.
  public var positionsFromNewest: [Int32] {
    var result: [Int32] = []
    result.reserveCapacity(tokens)
    for s in 0..<count { result += (0..<Int32(offsets[s + 1] - offsets[s])).reversed() }
    return result
  }

  /// The last token of each history; no history may be empty.
  public var lastTokens: [Int32] { offsets.dropFirst().map { Int32($0 - 1) } }

  /// The newest `maximalLength` items of some rows.
  public init(_ histories: Histories, rows: some Collection<Int>, maximalLength: Int) {
    var items: [Int32] = []
    var offsets: [Int] = []
    offsets.reserveCapacity(rows.count + 1)
    offsets.append(0)
    for row in rows {
      items += histories[row].suffix(maximalLength)
      offsets.append(items.count)
    }
    self.init(
      items: items, offsets: offsets, users: histories.users.map { users in rows.map { users[$0] } }
    )
  }

  /// The newest `length` items of each history.
  public func newest(_ length: Int) -> PackedBatch {
    var items: [Int32] = []
    var offsets = [0]
    for s in 0..<count {
      items += self.items[self.offsets[s]..<self.offsets[s + 1]].suffix(length)
      offsets.append(items.count)
    }
    return PackedBatch(items: items, offsets: offsets, users: users)
  }
}
