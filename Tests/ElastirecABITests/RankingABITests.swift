import CElastirec
import Testing

@Suite struct RankingABITests {
  private let model = Model()
  private let popularity = Model(#"{"model": "popularity", "items": 5}"#)

  init() {
    let counts: [Float] = [1, 5, 5, 0, 2]
    #expect(
      elastirec_model_set_parameter(popularity.handle, "popularity", counts, 5, nil)
        == ELASTIREC_OK)
  }

  private func score(
    _ items: [Int32], _ offsets: [Int64], count: Int,
    _ error: UnsafeMutablePointer<elastirec_error>?
  ) -> elastirec_status {
    var scores = Array(repeating: Float.nan, count: max(count, 1))
    return withRows(items, offsets) {
      elastirec_model_score(model.handle, $0, 1, &scores, count, error)
    }
  }

  @Test func scoresFillTheirBuffer() {
    #expect(score([0, 1, 2], [0, 2, 3], count: 10, nil) == ELASTIREC_OK)
    #expect(score([], [0], count: 0, nil) == ELASTIREC_OK)
    expectError("scores has room for 9, expected 2 x 5") {
      score([0, 1, 2], [0, 2, 3], count: 9, $0)
    }
    expectError("scores is NULL") { error in
      withRows([1], [0, 1]) { elastirec_model_score(model.handle, $0, 1, nil, 5, error) }
    }
  }

  @Test func wrongRowsAreNamed() {
    expectError("histories: item 5 is not in 0 ..< 5") { score([5], [0, 1], count: 5, $0) }
    expectError("histories: item -1 is not in 0 ..< 5") { score([-1], [0, 1], count: 5, $0) }
    expectError("histories: offsets end at 2, beyond 1 items") { score([1], [0, 2], count: 5, $0) }
    expectError("histories: offsets begin at -1, below 0") { score([1], [-1, 1], count: 5, $0) }
    var scores: [Float] = [0]
    func call(
      _ rows: elastirec_rows?, _ error: UnsafeMutablePointer<elastirec_error>
    ) -> elastirec_status {
      guard var rows else { return elastirec_model_score(model.handle, nil, 1, &scores, 1, error) }
      return elastirec_model_score(model.handle, &rows, 1, &scores, 1, error)
    }
    var rows = elastirec_rows()
    expectError("histories is NULL") { call(nil, $0) }
    expectError("histories.offsets is NULL") { call(rows, $0) }
    let offsets: [Int64] = [0, 1]
    offsets.withUnsafeBufferPointer { offsets in
      rows.offsets = offsets.baseAddress
      (rows.item_total, rows.count) = (1, 1)
      expectError("histories.items is NULL") { call(rows, $0) }
      for (total, count) in [(1, -1), (-1, 1), (Int64.min, Int64.min)] as [(Int64, Int64)] {
        (rows.item_total, rows.count) = (total, count)
        expectError("histories: a count is negative") { call(rows, $0) }
      }
    }
  }

  @Test func recommendationsObeyTheirArguments() {
    var items = Array(repeating: Int32(9), count: 6)
    var scores = Array(repeating: Float.nan, count: 6)
    let allowed: [UInt8] = [1, 1, 255, 0, 0]
    let status = withRows([0, 3], [0, 1, 2]) { histories in
      withRows([1], [0, 0, 1]) { excluded in
        elastirec_model_recommend(
          popularity.handle, histories, excluded, allowed, 3, 2, &items, &scores, nil)
      }
    }
    #expect(status == ELASTIREC_OK)
    #expect(items == [1, 2, 0, 2, 0, -1])
    #expect(scores == [5, 5, 1, 5, 1, -.infinity])
  }

  @Test func wrongArgumentsOfRecommendAreNamed() {
    var (items, scores) = ([Int32(0)], [Float(0)])
    withRows([0], [0, 1]) { histories in
      for k in [0, -1, Int32.min] {
        expectError("k must be at least 1, got \(k)") {
          elastirec_model_recommend(
            model.handle, histories, nil, nil, k, 1, &items, &scores, $0)
        }
      }
      expectError("items is NULL") {
        elastirec_model_recommend(model.handle, histories, nil, nil, 1, 1, nil, &scores, $0)
      }
      expectError("scores is NULL") {
        elastirec_model_recommend(model.handle, histories, nil, nil, 1, 1, &items, nil, $0)
      }
      expectError("excluded has 2 rows for 1 histories") { error in
        withRows([], [0, 0, 0]) {
          elastirec_model_recommend(
            model.handle, histories, $0, nil, 1, 1, &items, &scores, error)
        }
      }
      expectError("excluded: item 7 is not in 0 ..< 5") { error in
        withRows([7], [0, 1]) {
          elastirec_model_recommend(
            model.handle, histories, $0, nil, 1, 1, &items, &scores, error)
        }
      }
      expectError("model is NULL") {
        elastirec_model_recommend(nil, histories, nil, nil, 1, 1, &items, &scores, $0)
      }
    }
  }

  @Test func ranksAndTheBestItemsComeTogether() {
    var ranks = Array(repeating: Int32(0), count: 3)
    var top = Array(repeating: Int32(0), count: 4)
    let status = withRows([0, 3], [0, 1, 2]) { histories in
      withRows([2, 3, 4], [0, 2, 3]) { targets in
        elastirec_model_rank(
          popularity.handle, histories, targets, nil, nil, 2, nil, 0, 1, &ranks, &top, nil)
      }
    }
    #expect(status == ELASTIREC_OK && ranks == [2, 5, 3] && top == [1, 2, 1, 2])
  }

  @Test func wrongArgumentsOfRankAreNamed() {
    var (ranks, top) = ([Int32(0)], [Int32(0)])
    withRows([0], [0, 1]) { rows in
      expectError("targets is NULL") {
        elastirec_model_rank(model.handle, rows, nil, nil, nil, 0, nil, 0, 1, &ranks, nil, $0)
      }
      expectError("k must be at least 0, got -1") {
        elastirec_model_rank(model.handle, rows, rows, nil, nil, -1, nil, 0, 1, &ranks, nil, $0)
      }
      expectError("top items are those of all items, so candidates must be NULL") {
        elastirec_model_rank(model.handle, rows, rows, nil, rows, 1, nil, 0, 1, &ranks, &top, $0)
      }
      expectError("ranks is NULL") {
        elastirec_model_rank(model.handle, rows, rows, nil, nil, 0, nil, 0, 1, nil, nil, $0)
      }
      expectError("top_items is NULL") {
        elastirec_model_rank(model.handle, rows, rows, nil, nil, 1, nil, 0, 1, &ranks, nil, $0)
      }
      #expect(
        elastirec_model_rank(model.handle, rows, rows, rows, rows, 0, nil, 0, 1, &ranks, nil, nil)
          == ELASTIREC_OK)
      #expect(ranks == [1])
    }
  }

  @Test func similarItemsAreFound() {
    var similar = Array(repeating: Int32(9), count: 5)
    var cosines = Array(repeating: Float.nan, count: 5)
    let query: [Int32] = [2]
    #expect(
      elastirec_model_similar(model.handle, query, 1, 5, 1, &similar, &cosines, nil)
        == ELASTIREC_OK)
    #expect(similar.sorted() == [-1, 0, 1, 3, 4] && similar[4] == -1)
    #expect(zip(cosines, cosines.dropFirst()).allSatisfy { $0 >= $1 } && cosines[4] == -.infinity)
    for (item, shown) in [(Int32(5), "5"), (-1, "-1")] {
      expectError("item \(shown) is not in 0 ..< 5") {
        elastirec_model_similar(model.handle, [item], 1, 1, 1, &similar, &cosines, $0)
      }
    }
    expectError("count is negative") {
      elastirec_model_similar(model.handle, query, -1, 1, 1, &similar, &cosines, $0)
    }
    expectError("k must be at least 1, got 0") {
      elastirec_model_similar(model.handle, query, 1, 0, 1, &similar, &cosines, $0)
    }
    expectError("items is NULL") {
      elastirec_model_similar(model.handle, nil, 1, 1, 1, &similar, &cosines, $0)
    }
    expectError("this model has no item vectors, so no similar items") {
      elastirec_model_similar(popularity.handle, query, 1, 1, 1, &similar, &cosines, $0)
    }
  }

  @Test func emptyHistoriesGetTheFallback() {
    let fallback: [Float] = [3, 1, 4, 1, 5]
    #expect(elastirec_model_set_fallback(model.handle, fallback, 5, nil) == ELASTIREC_OK)
    var scores = Array(repeating: Float.nan, count: 5)
    let status = withRows([], [0, 0]) {
      elastirec_model_score(model.handle, $0, 0, &scores, 5, nil)
    }
    #expect(status == ELASTIREC_OK && scores == fallback)
    expectError("scores has 4 numbers for 5 items") {
      elastirec_model_set_fallback(model.handle, fallback, 4, $0)
    }
    expectError("scores hold NaN or infinity") {
      elastirec_model_set_fallback(model.handle, [0, 0, .nan, 0, 0], 5, $0)
    }
    expectError("scores is NULL") { elastirec_model_set_fallback(model.handle, nil, 5, $0) }
  }
}
