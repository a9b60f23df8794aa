import Interactions
import Testing

@Suite struct HistoriesTests {
  /// Calls `body` with checked histories, or throws what the check throws.
  private func checked<Result>(
    _ items: [Int32], _ offsets: [Int64], itemCount: Int = 10, _ body: (Histories) -> Result
  ) throws -> Result {
    try items.withUnsafeBufferPointer { items in
      try offsets.withUnsafeBufferPointer { offsets in
        body(
          try Histories(items: items, offsets: offsets, itemCount: itemCount, name: "histories"))
      }
    }
  }

  private func message(_ items: [Int32], _ offsets: [Int64]) -> String? {
    do {
      try checked(items, offsets) { _ in }
      return nil
    } catch {
      return (error as? InvalidArgument)?.message
    }
  }

  @Test func rowsAreFoundByTheirOffsets() throws {
    let rows = try checked([5, 6, 7, 8, 9], [1, 3, 3, 4]) { histories in
      (0..<histories.count).map { Array(histories[$0]) }
    }
    #expect(rows == [[6, 7], [], [8]])
  }

  @Test func noRowsAreValid() throws {
    #expect(try checked([], [0]) { $0.count } == 0)
    #expect(try checked([1, 2], [2]) { $0.count } == 0)
    #expect(try checked([], [0, 0, 0]) { $0[1].count } == 0)
  }

  @Test func wrongOffsetsAreNamed() {
    #expect(message([1], []) == "histories: offsets are empty, expected one more than rows")
    #expect(message([1], [-1, 1]) == "histories: offsets begin at -1, below 0")
    #expect(message([1, 2], [0, 2, 1])?.contains("offsets fall from 2 to 1") == true)
    #expect(message([1, 2], [0, 3]) == "histories: offsets end at 3, beyond 2 items")
    #expect(
      message([1, 2], [0, .max]) == "histories: offsets end at \(Int64.max), beyond 2 items")
    #expect(message([], [.min, 0]) == "histories: offsets begin at \(Int64.min), below 0")
  }

  @Test func wrongItemsAreNamed() {
    #expect(message([3, -1], [0, 2]) == "histories: item -1 is not in 0 ..< 10")
    #expect(message([3, 10], [0, 2]) == "histories: item 10 is not in 0 ..< 10")
    #expect(message([.max], [0, 1]) == "histories: item \(Int32.max) is not in 0 ..< 10")
    // Items that no row owns are not looked at.
    #expect(message([-1, 3, 99], [1, 2]) == nil)
  }

  @Test func copiesOutliveWhatTheyWereCopiedFrom() throws {
    var items: [Int32] = [1, 2, 3]
    let offsets: [Int64] = [1, 3]
    let copy = try items.withUnsafeMutableBufferPointer { items in
      try offsets.withUnsafeBufferPointer { offsets in
        let copy = try Histories(
          items: UnsafeBufferPointer(items), offsets: offsets, itemCount: 4, name: "histories"
        ).copy()
        items.update(repeating: 0)
        return copy
      }
    }
    #expect(Array(copy[0]) == [2, 3])
    #expect(copy.counts(itemCount: 4) == [0, 0, 1, 1])
  }

  @Test func countsSayHowOftenItemsOccur() {
    let histories = Histories([[0, 2, 2], [], [4, 0]])
    #expect(histories.count == 3)
    #expect(histories.counts(itemCount: 6) == [2, 0, 2, 0, 1, 0])
  }

  @Test func packedBatchesHoldTheNewestItems() {
    let histories = Histories([[0, 1, 2, 3, 4], [5], [], [6, 7]])
    let batch = PackedBatch(histories, rows: [3, 0, 2, 1], maximalLength: 3)
    #expect(batch.items == [6, 7, 2, 3, 4, 5])
    #expect(batch.offsets == [0, 2, 5, 5, 6])
    #expect(batch.positions == [0, 1, 0, 1, 2, 0])
    #expect(batch.count == 4 && batch.tokens == 6)
  }

  @Test func lastTokensEndTheHistories() {
    let batch = PackedBatch(items: [4, 5, 6, 7, 8], offsets: [0, 1, 3, 5])
    #expect(batch.lastTokens == [0, 2, 4])
  }
}
