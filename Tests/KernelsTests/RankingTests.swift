import Kernels
import Testing
import _TestSupport

@Suite struct RankingTests {
  /// The best items by sorting, padded as `TopK` pads.
  private func bestBySorting(_ scores: [Float], k: Int) -> (items: [Int32], best: [Float]) {
    let order = scores.indices.filter { scores[$0] > -.infinity }
      .sorted { (scores[$1], $0) < (scores[$0], $1) }.prefix(k)
    let missing = k - order.count
    return (
      order.map { Int32($0) } + Array(repeating: -1, count: missing),
      order.map { scores[$0] } + Array(repeating: -.infinity, count: missing)
    )
  }

  private func check(_ scores: [Float], k: Int, _ label: String) {
    let (items, best) = bestBySorting(scores, k: k)
    let input = Guarded(scores)
    var found = Array(repeating: Int32(7), count: k)
    var values = Array(repeating: Float.nan, count: k)
    var top = TopK(k: k)
    top.select(input.pointer, count: scores.count, items: &found, best: &values)
    #expect(found == items, "\(label), k \(k)")
    expectSameBits(values, best, "\(label), k \(k)")
    var again = Array(repeating: Int32(7), count: k)
    top.select(input.pointer, count: scores.count, items: &again, best: nil)
    #expect(again == items, "\(label), k \(k), a second time without scores")
  }

  @Test(arguments: lengths)
  func topKIsWhatSortingGives(count: Int) {
    var generator = SplitMix64(seed: 50)
    let different = randomFloats(count, seed: 51)
    let tied = (0..<count).map { _ in Float(Int.random(in: -1...1, using: &generator)) }
    let someLeftOut = tied.map { $0 == 0 ? -Float.infinity : $0 }
    for k in [0, 1, 2, 10, 64, count, count + 3] {
      check(different, k: k, "different scores")
      check(different.sorted(), k: k, "rising scores")
      check(different.sorted(by: >), k: k, "falling scores")
      check(tied, k: k, "tied scores")
      check(someLeftOut, k: k, "items left out")
      check(Array(repeating: -.infinity, count: count), k: k, "every item left out")
    }
  }

  @Test func topKPassesOverNaN() {
    var scores = randomFloats(500, seed: 53)
    for i in stride(from: 0, to: 500, by: 3) { scores[i] = .nan }
    let known = scores.map { $0.isNaN ? -Float.infinity : $0 }
    let expected = bestBySorting(known, k: 10).items
    var found = Array(repeating: Int32(7), count: 10)
    var top = TopK(k: 10)
    top.select(scores, count: 500, items: &found, best: nil)
    #expect(found == expected)
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func atLeastKNumbersReachWhatTheLargestReach(set: InstructionSet, count: Int) {
    var generator = SplitMix64(seed: 54)
    let different = randomFloats(count, seed: 55)
    let tied = (0..<count).map { _ in Float(Int.random(in: -1...1, using: &generator)) }
    for x in [different, different.sorted(), tied] {
      for k in [1, 2, 10, 15, 16] {
        let bound = set.loops.reachedByLargest(k, of: x, count: count)
        #expect(bound == -.infinity || x.count { $0 >= bound } >= k)
        // Rows of 64 let it be close: no more numbers reach it than some columns of 64 hold.
        if count >= 640 && x == different {
          let maxima = (0..<64).map { lane in
            stride(from: lane, to: count & ~63, by: 64).map { x[$0] }.max() ?? 0
          }
          #expect(bound == maxima.sorted(by: >)[k - 1])
        }
      }
      #expect(set.loops.reachedByLargest(17, of: x, count: count) == -.infinity)
    }
  }

  @Test func topKTakesZerosOfBothSignsAsTied() {
    check([-0.0, 0, -1, 0, -0.0], k: 4, "zeros")
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func countAboveCountsTiesBeforeTheItem(set: InstructionSet, count: Int) {
    var generator = SplitMix64(seed: 52)
    let scores = (0..<count).map { _ in Float(Int.random(in: -2...2, using: &generator)) }
    let x = Guarded(scores)
    let indices = count <= 100 ? Array(0...count) : [0, 1, 15, 16, 17, 500, 991, 992, 999, 1000]
    for index in indices {
      for value in [-3, -2, 0, 0.5, 2, 3, Float.infinity, -Float.infinity] {
        let expected = scores.indices.count {
          scores[$0] > value || (scores[$0] == value && $0 < index)
        }
        let found = set.loops.countAbove(x.pointer, count: count, value: value, index: index)
        #expect(found == expected, "value \(value), index \(index)")
      }
    }
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func firstAboveFindsTheFirst(set: InstructionSet, count: Int) {
    for place in [0, 1, 15, 16, 62, 63, 64, 99, 640, 999] where place <= count {
      // One number above the bound, the bound itself before it.
      let scores = (0..<count).map { $0 == place ? 2 : $0 % 3 == 0 ? Float(1) : -.infinity }
      let x = Guarded(scores)
      for start in [0, 1, 14, place] where start <= count {
        let expected = scores.indices.dropFirst(start).first { scores[$0] > 1 } ?? count
        let found = set.loops.firstAbove(x.pointer, start: start, count: count, value: 1)
        #expect(found == expected, "place \(place), start \(start)")
      }
    }
  }
}
