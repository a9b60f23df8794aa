import Autograd
import Interactions
import Kernels
import Layers
import Models
import Testing
import Training
import _TestSupport

/// Scores that are given for each last item, so that the right answers are known.
private struct TableModel: Recommender {
  let table: [[Float]]
  var itemCount: Int { table[0].count }
  let maximalLength = 5
  let configurationJSON = "{}"
  let itemVectors: Tensor? = nil

  func score(_ batch: PackedBatch, into scores: Matrix) {
    for (r, token) in batch.lastTokens.enumerated() {
      let row = table[Int(batch.items[Int(token)])]
      for (i, score) in row.enumerated() { scores.pointer[r * scores.stride + i] = score }
    }
  }

  func cost(length: Int) -> Cost { Cost(parameters: 0, macs: 0) }
}

@Suite struct RankerTests {
  private static let items = 70
  private let histories: Histories
  private let excluded: Histories
  private let targets: Histories
  private let ranker: Ranker
  /// The scores of each history.
  private let scores: [[Float]]

  init() {
    var generator = SplitMix64(seed: 1)
    func random(_ count: Int) -> [Int32] {
      (0..<count).map { _ in Int32.random(in: 0..<Int32(Self.items), using: &generator) }
    }
    // Few different scores, so that most are tied.
    let table = (0..<Self.items).map { _ in
      (0..<Self.items).map { _ in Float(Int.random(in: -3...3, using: &generator)) }
    }
    let rows = (0..<150).map { $0 % 7 == 0 ? [] : random(1 + $0 % 9) }
    histories = Histories(rows)
    excluded = Histories((0..<150).map { random($0 % 5 * 9) })
    targets = Histories((0..<150).map { random($0 % 4) })
    var ranker = Ranker(model: TableModel(table: table))
    let fallback = (0..<Self.items).map { Float($0 * 7 % 10) }
    ranker.fallback = fallback
    self.ranker = ranker
    scores = rows.map { $0.last.map { table[Int($0)] } ?? fallback }
  }

  /// The items of a row from best to worst, without those that are left out.
  private func order(_ row: Int, leavingOut left: Set<Int32>) -> [Int32] {
    (0..<Int32(Self.items)).filter { !left.contains($0) }.sorted {
      (scores[row][Int($1)], $0) < (scores[row][Int($0)], $1)
    }
  }

  @Test func scoresAreTheModelsOrTheFallback() {
    for workers in [1, 3] {
      var found = Array(repeating: Float.nan, count: 150 * Self.items)
      ranker.score(histories, workers: workers, into: &found)
      expectSameBits(found, scores.flatMap { $0 }, "scores")
    }
  }

  @Test(arguments: [1, 2, 10, 70, 75], [1, 3])
  func recommendationsAreWhatSortingGives(k: Int, workers: Int) {
    let allowed = (0..<Self.items).map { UInt8($0 % 3 == 0 ? 0 : $0) }
    for (leavesOut, mayOnly) in [(false, false), (true, false), (false, true), (true, true)] {
      var items = Array(repeating: Int32(99), count: 150 * k)
      var best = Array(repeating: Float.nan, count: 150 * k)
      ranker.recommend(
        histories, excluded: leavesOut ? excluded : nil, allowed: mayOnly ? allowed : nil, k: k,
        workers: workers, items: &items, scores: &best)
      for row in 0..<150 {
        var left = leavesOut ? Set(excluded[row]) : []
        if mayOnly { left.formUnion((0..<Int32(Self.items)).filter { $0 % 3 == 0 }) }
        let order = order(row, leavingOut: left).prefix(k)
        let missing = k - order.count
        let place = (row * k)..<(row * k + k)
        #expect(Array(items[place]) == order + Array(repeating: -1, count: missing), "row \(row)")
        #expect(
          Array(best[place]) == order.map { scores[row][Int($0)] }
            + Array(repeating: -.infinity, count: missing))
      }
    }
  }

  @Test(arguments: [0, 3, 80])
  func ranksCountWhatStandsAbove(k: Int) {
    for leavesOut in [false, true] {
      let total = targets.range(149).upperBound
      var ranks = Array(repeating: Int32(-7), count: total)
      var top = Array(repeating: Int32(99), count: 150 * k)
      top.withUnsafeMutableBufferPointer { top in
        ranker.rank(
          histories, targets: targets, excluded: leavesOut ? excluded : nil, candidates: nil,
          k: k, workers: 2, ranks: &ranks, top: k > 0 ? top.baseAddress : nil)
      }
      for row in 0..<150 {
        let left = leavesOut ? Set(excluded[row]) : []
        for (i, target) in zip(targets.range(row), targets[row]) {
          // A target takes part even where it is left out.
          let place = order(row, leavingOut: left.subtracting([target])).firstIndex(of: target)
          #expect(ranks[i] == place.map { Int32($0 + 1) }, "row \(row), target \(target)")
        }
        let best = order(row, leavingOut: left).prefix(k)
        let found = Array(top[(row * k)..<(row * k + k)])
        #expect(found == best + Array(repeating: -1, count: k - best.count), "row \(row)")
      }
    }
  }

  @Test func candidatesCountOnce() {
    var generator = SplitMix64(seed: 2)
    // With duplicates, and now and then with the target itself.
    let candidates = Histories(
      (0..<150).map { row in
        (0..<(row % 30)).map { _ in Int32.random(in: 0..<20, using: &generator) }
          + targets[row].prefix(row % 2)
      })
    for leavesOut in [false, true] {
      var ranks = Array(repeating: Int32(-7), count: targets.range(149).upperBound)
      ranker.rank(
        histories, targets: targets, excluded: leavesOut ? excluded : nil, candidates: candidates,
        k: 0, workers: 2, ranks: &ranks, top: nil)
      for row in 0..<150 {
        let left = leavesOut ? Set(excluded[row]) : []
        for (i, target) in zip(targets.range(row), targets[row]) {
          let among = Set(candidates[row]).subtracting(left).union([target])
          let place = order(row, leavingOut: Set(0..<Int32(Self.items)).subtracting(among))
            .firstIndex(of: target)
          #expect(ranks[i] == place.map { Int32($0 + 1) }, "row \(row), target \(target)")
        }
      }
    }
  }

  @Test func ranksOfTargetsThatDoNotBeginAtZeroFillTheFront() throws {
    let items: [Int32] = [60, 61, 3, 4, 5]
    var ranks: [Int32] = [-7, -7, -7]
    try items.withUnsafeBufferPointer { items in
      try ([2, 4, 5] as [Int64]).withUnsafeBufferPointer { offsets in
        let targets = try Histories(items: items, offsets: offsets, itemCount: 70, name: "targets")
        let two = Histories([Array(histories[1]), Array(histories[2])])
        ranker.rank(
          two, targets: targets, excluded: nil, candidates: nil, k: 0, workers: 1, ranks: &ranks,
          top: nil)
      }
    }
    let expected = [(1, 3), (1, 4), (2, 5)].map { row, target in
      (order(row, leavingOut: []).firstIndex(of: Int32(target)) ?? -1) + 1
    }
    #expect(ranks.map { Int($0) } == expected)
  }

  @Test func scoresThatAreNoNumbersRankLast() {
    var table = Array(repeating: [Float](repeating: 0, count: 4), count: 4)
    table[0] = [1, .nan, 3, 2]
    let ranker = Ranker(model: TableModel(table: table))
    var ranks: [Int32] = [0, 0]
    var top = Array(repeating: Int32(9), count: 4)
    ranker.rank(
      Histories([[0]]), targets: Histories([[1, 0]]), excluded: nil, candidates: nil, k: 4,
      workers: 1, ranks: &ranks, top: &top)
    #expect(ranks == [4, 3])
    #expect(top.prefix(3) == [2, 3, 0])
  }

  @Test func noScoresAtAllAreNoPerfectRanking() {
    let ranker = Ranker(
      model: TableModel(table: Array(repeating: [Float](repeating: .nan, count: 4), count: 4)))
    for candidates in [nil, Histories([[0, 1, 3]])] {
      var ranks: [Int32] = [0, 0]
      ranker.rank(
        Histories([[1]]), targets: Histories([[3, 0]]), excluded: Histories([[1]]),
        candidates: candidates, k: 0, workers: 1, ranks: &ranks, top: nil)
      #expect(ranks == [candidates == nil ? 3 : 2, 1])
    }
  }
}
