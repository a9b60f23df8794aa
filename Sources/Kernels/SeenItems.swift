/// The items that rows of states have seen, whose logits a loss raises: a model that puts the target
/// before them all the same has learned to recommend what is new.
///
/// The additive margin of Wang et al., "Additive Margin Softmax for Face Verification", IEEE Signal
/// Processing Letters 2018, between the target and a few of the others.
public struct SeenItems {
  /// What is added to the logits of the items that a row has seen, its target apart, once each.
  public let margin: Float
  let items: [Int32]
  let itemCount: Int
  let ranges: [Range<Int>]

  /// - Parameters:
  ///   - items: Masks and what stands for a beginning, from `itemCount` on, are passed over.
  ///   - ranges: Row r has seen `items[ranges[r]]`.
  public init(margin: Float, items: [Int32], itemCount: Int, ranges: [Range<Int>]) {
    check(
      ranges.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= items.count },
      "what each row has seen")
    self.margin = margin
    self.items = items
    self.itemCount = itemCount
    self.ranges = ranges
  }

  public var rows: Int { ranges.count }

  /// What some rows have seen.
  func rows(_ rows: Range<Int>) -> SeenItems {
    SeenItems(margin: margin, items: items, itemCount: itemCount, ranges: Array(ranges[rows]))
  }

  /// Logits that are raised, by the tile of items that they are in.
  struct Cells {
    private let margin: Float
    private let width: Int
    private var places: [(row: Int32, item: Int32)]
    /// Those of tile t are `places[ends[t - 1] ..< ends[t]]`.
    private var ends: [Int]

    /// - Parameter width: the items of a tile.
    init(_ seen: SeenItems, targets: UnsafePointer<Int32>, width: Int) {
      margin = seen.margin
      self.width = width
      let itemCount = seen.itemCount
      var found: [(row: Int32, item: Int32)] = []
      found.reserveCapacity(seen.ranges.reduce(0) { $0 + $1.count })
      ends = Array(repeating: 0, count: (itemCount + width - 1) / width)
      var newest = Array(repeating: Int32(-1), count: itemCount)  // the last row that has each item
      for (r, range) in seen.ranges.enumerated() {
        let row = Int32(r)
        if targets[r] < itemCount { newest[Int(targets[r])] = row }
        for item in seen.items[range] where item >= 0 && Int(item) < itemCount {
          guard newest[Int(item)] != row else { continue }
          newest[Int(item)] = row
          found.append((row, item))
          ends[Int(item) / width] += 1
        }
      }
      var next: [Int] = []
      var total = 0
      for t in ends.indices {
        next.append(total)
        total += ends[t]
        ends[t] = total
      }
      places = found
      for place in found {
        let tile = Int(place.item) / width
        places[next[tile]] = place
        next[tile] += 1
      }
    }

    /// Raises the logits of a tile, `z` of shape `[rows, items of the tile]`.
    func raise(_ z: Matrix, tile: Range<Int>) {
      let t = tile.lowerBound / width
      for place in places[(t == 0 ? 0 : ends[t - 1])..<ends[t]] {
        z.pointer[Int(place.row) * z.stride + Int(place.item) - tile.lowerBound] += margin
      }
    }
  }
}
