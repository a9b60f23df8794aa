/// The items that rows of states have seen, whose logits a loss raises or lowers: a model that puts
/// the target before them where they are raised has learned to recommend what is new, and one for
/// which they are lowered need not know what to say of them.
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

  var rows: Int { ranges.count }

  /// What some rows have seen.
  func rows(_ rows: Range<Int>) -> SeenItems {
    SeenItems(margin: margin, items: items, itemCount: itemCount, ranges: Array(ranges[rows]))
  }

  /// Logits that the margin is added to.
  struct Cells {
    private let margin: Float
    private let width: Int
    /// Those of each tile of items.
    private var tiles: [[(row: Int, item: Int)]]

    /// - Parameter width: the items of a tile.
    init(_ seen: SeenItems, targets: UnsafePointer<Int32>, width: Int) {
      margin = seen.margin
      self.width = width
      let itemCount = seen.itemCount
      tiles = Array(repeating: [], count: (itemCount + width - 1) / width)
      var newest = Array(repeating: -1, count: itemCount)  // the last row that has each item
      for (row, range) in seen.ranges.enumerated() {
        let target = Int(targets[row])
        if target < itemCount { newest[target] = row }
        for item in seen.items[range].lazy.map({ Int($0) }) where (0..<itemCount).contains(item) {
          guard newest[item] != row else { continue }
          newest[item] = row
          tiles[item / width].append((row, item))
        }
      }
    }

    /// Adds the margin to logits of a tile, `z` of shape `[rows, items of the tile]`.
    func addMargin(to z: Matrix, tile: Range<Int>) {
      let number = tile.lowerBound / width
      guard number < tiles.count else { return }  // behind the last item
      for place in tiles[number] {
        z.pointer[place.row * z.stride + place.item - tile.lowerBound] += margin
      }
    }
  }
}
