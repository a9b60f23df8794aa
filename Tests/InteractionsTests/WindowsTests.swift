import Interactions
import Testing

@Suite struct WindowsTests {
  private let lengths = [5, 0, 1, 2, 3, 4, 30, 8, 7, 1, 13]
  private let maximalLength = 3

  private var histories: Histories {
    Histories(lengths.map { (0..<Int32($0)).map { $0 } })
  }

  private func windows(_ crop: Crop, seed: UInt64 = 1) -> [Window] {
    var generator = CounterGenerator(seed: seed)
    return histories.windows(crop: crop, maximalLength: maximalLength, using: &generator)
  }

  /// The history that a window lies in.
  private func row(of window: Window) -> Int? {
    (0..<histories.count).first {
      let range = histories.range($0)
      return window.items.lowerBound >= range.lowerBound
        && window.items.upperBound <= range.upperBound && !range.isEmpty
    }
  }

  @Test(arguments: Crop.allCases)
  func windowsStayInOneHistoryAndHaveTargets(crop: Crop) {
    for window in windows(crop) {
      #expect(row(of: window) != nil)
      #expect((1...maximalLength).contains(window.tokens))
      #expect(window.tokens == window.items.count - 1)
    }
  }

  @Test func lastTakesTheNewestItemsOfEveryHistory() {
    let expected = (0..<histories.count).filter { lengths[$0] > 1 }.map { row in
      let end = histories.range(row).upperBound
      return Window(items: (end - min(lengths[row], maximalLength + 1))..<end)
    }
    #expect(windows(.last) == expected)
  }

  @Test func randomTakesEachStretchOfAHistory() {
    var starts: [Int: Set<Int>] = [:]
    for seed in 0..<500 {
      let windows = windows(.random, seed: UInt64(seed))
      #expect(windows.count == lengths.count { $0 > 1 })
      for window in windows {
        guard let row = row(of: window) else { continue }
        #expect(window.tokens == min(lengths[row] - 1, maximalLength))
        starts[row, default: []].insert(window.items.lowerBound - histories.range(row).lowerBound)
      }
    }
    for (row, found) in starts {
      #expect(found == Set(0...max(0, lengths[row] - maximalLength - 1)), "row \(row)")
    }
  }

  @Test func allCoversEveryTransitionOnce() {
    var covered: [Int] = []
    for window in windows(.all) { covered += window.items.dropLast() }
    let expected = (0..<histories.count).flatMap { histories.range($0).dropLast() }
    #expect(covered.sorted() == expected)
  }

  @Test func historiesMayBeginAfterOtherItems() throws {
    let items: [Int32] = [9, 9, 0, 1, 2, 9]
    let windows = try items.withUnsafeBufferPointer { items in
      try ([2, 5] as [Int64]).withUnsafeBufferPointer { offsets in
        var generator = CounterGenerator(seed: 0)
        return try Histories(items: items, offsets: offsets, itemCount: 10, name: "x")
          .windows(crop: .all, maximalLength: 1, using: &generator)
      }
    }
    #expect(Set(windows.map(\.items)) == [2..<4, 3..<5])
  }

  @Test(arguments: [1, 2, 3, 8, 50])
  func balancedListsShareAllWindows(lists: Int) {
    let windows = windows(.all)
    let balanced = balance(windows, lists: lists, cost: \.tokens)
    #expect(balanced.count == lists)
    func sorted(_ windows: [Window]) -> [Window] {
      windows.sorted { $0.items.lowerBound < $1.items.lowerBound }
    }
    #expect(sorted(balanced.flatMap { $0 }) == sorted(windows))
    // The longest window first: loads differ by at most one of the longest.
    let loads = balanced.map { $0.reduce(0) { $0 + $1.tokens } }
    #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= maximalLength)
    #expect(balance(windows, lists: lists, cost: \.tokens) == balanced, "a second time")
  }

  @Test func balanceOfNothingIsEmptyLists() {
    #expect(balance([Window](), lists: 3, cost: \.tokens) == [[], [], []])
  }
}
