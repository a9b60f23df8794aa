import Autograd
import Foundation
import Interactions
import Layers
import Models
import Synchronization
import Testing
import Training
import _TestSupport

/// The ranker over real models.
@Suite struct RankerModelTests {
  private let model = smallModel(items: 60) { ($0.maxLength, $0.initialStd) = (12, 0.4) }
  private var histories: Histories {
    var generator = SplitMix64(seed: 4)
    return Histories(
      (0..<200).map { row in
        (0..<(row % 17)).map { _ in Int32.random(in: 0..<60, using: &generator) }
      })
  }

  private func scores(_ histories: Histories, workers: Int) -> [Float] {
    var found = Array(repeating: Float.nan, count: histories.count * 60)
    Ranker(model: model).score(histories, workers: workers, into: &found)
    return found
  }

  @Test func scoresAreTheProductsOfStatesAndItems() {
    let histories = histories
    let found = scores(histories, workers: 2)
    let table = model.scorer(on: .inference).table.values
    for row in 0..<histories.count {
      let place = (row * 60)..<(row * 60 + 60)
      guard let newest = Optional(Array(histories[row].suffix(12))), !newest.isEmpty else {
        #expect(found[place].allSatisfy { $0 == 0 })
        continue
      }
      let states = model.encode(PackedBatch([newest]), on: .inference).values.suffix(16)
      let expected = (0..<60).map { item in
        zip(states, table[(16 * item)...]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
      }
      expectClose(Array(found[place]), expected, .model, "row \(row)")
    }
  }

  @Test func scoresHaveEqualBitsOnAnyNumberOfThreads() {
    let histories = histories
    let alone = scores(histories, workers: 1)
    for workers in [2, 3, 8] {
      expectSameBits(scores(histories, workers: workers), alone, "\(workers) workers")
    }
  }

  @Test func oneLongHistoryHasEqualBitsOnAnyNumberOfThreads() {
    let model = smallModel(items: 60) {
      ($0.dim, $0.innerDim, $0.maxLength, $0.initialStd) = (64, 256, 300, 0.1)
    }
    var generator = SplitMix64(seed: 5)
    let history = (0..<300).map { _ in Int32.random(in: 0..<60, using: &generator) }
    let results = [1, 2, 3, 8].map { workers in
      var found = Array(repeating: Float.nan, count: 60)
      Ranker(model: model).score(Histories([history]), workers: workers, into: &found)
      return found
    }
    for scores in results { expectSameBits(scores, results[0], "one history") }
  }

  @Test func rankersMayBeUsedByManyThreadsAtOnce() {
    let histories = histories
    let alone = scores(histories, workers: 1)
    let (threads, rounds) = (4, 20)
    let found = Mutex<[[Float]]>([])
    let group = DispatchGroup()
    for thread in 0..<threads {
      group.enter()
      Thread.detachNewThread {
        for _ in 0..<rounds {
          let scores = scores(histories, workers: 1 + thread % 2)
          found.withLock { $0.append(scores) }
        }
        group.leave()
      }
    }
    #expect(group.wait(timeout: .now() + 60) == .success)
    let all = found.withLock { $0 }
    #expect(all.count == threads * rounds)
    for scores in all { expectSameBits(scores, alone, "one of many calls") }
  }

  @Test func noHistoriesGiveNothing() {
    let none = Histories([])
    var (items, best) = ([Int32(5)], [Float(5)])
    Ranker(model: model).recommend(
      none, excluded: nil, allowed: nil, k: 1, workers: 2, items: &items, scores: &best)
    #expect(scores(none, workers: 2).isEmpty && items == [5] && best == [5])
  }

  @Test(arguments: [1, 5, 59, 60, 64])
  func similarItemsAreThoseOfLargestCosine(k: Int) throws {
    let table = model.scorer(on: .inference).table
    // Two items alike, and one whose vector is zero.
    for c in 0..<16 {
      table.pointer[7 * 16 + c] = table.pointer[3 * 16 + c]
      table.pointer[9 * 16 + c] = 0
    }
    let vectors = (0..<60).map { i in table.values[(16 * i)..<(16 * i + 16)].map { Double($0) } }
    func product(_ a: [Double], _ b: [Double]) -> Double {
      zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }
    func cosine(_ i: Int, _ j: Int) -> Double {
      let norms = product(vectors[i], vectors[i]) * product(vectors[j], vectors[j])
      return norms > 0 ? product(vectors[i], vectors[j]) / norms.squareRoot() : 0
    }
    let queries: [Int32] = [3, 9, 20, 3]
    var similar = Array(repeating: Int32(99), count: 4 * k)
    var cosines = Array(repeating: Float.nan, count: 4 * k)
    try queries.withUnsafeBufferPointer {
      try Ranker(model: model).similar(
        to: $0, k: k, workers: 2, similar: &similar, cosines: &cosines)
    }
    for (q, query) in queries.enumerated() {
      let found = similar[(q * k)..<(q * k + k)]
      let given = found.filter { $0 >= 0 }
      #expect(given.count == min(k, 59) && Set(given).count == given.count)
      #expect(!given.contains(query) && found.suffix(k - given.count).allSatisfy { $0 == -1 })
      let expected = (0..<60).filter { $0 != Int(query) }.map { cosine(Int(query), $0) }
        .sorted(by: >).prefix(k)
      let values = Array(cosines[(q * k)..<(q * k + given.count)])
      expectClose(values, Array(expected), .products, "query \(query)")
      let own = given.map { cosine(Int(query), Int($0)) }
      expectClose(values, own, .products, "the cosines of what was found for \(query)")
    }
    #expect(similar[0] == 7)
  }

  @Test func modelsWithoutVectorsHaveNoSimilarItems() {
    var (similar, cosines) = ([Int32(0)], [Float(0)])
    let ranker = Ranker(model: Popularity(items: 4))
    #expect(
      throws: InvalidArgument("this model has no item vectors, so no similar items")
    ) {
      try ([1] as [Int32]).withUnsafeBufferPointer {
        try ranker.similar(to: $0, k: 1, workers: 1, similar: &similar, cosines: &cosines)
      }
    }
  }
}
