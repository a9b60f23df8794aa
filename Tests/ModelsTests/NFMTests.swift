import Autograd
import Foundation
import Interactions
import Models
import Testing
import _TestSupport

@Suite struct NFMTests {
  private func model(hidden: [Int] = [5, 3]) throws -> NFM {
    var c = NFM.Configuration(items: 11)
    (c.dim, c.hidden, c.maxLength, c.initialStd) = (4, hidden, 6, 0.5)
    return NFM(c)
  }

  @Test func parametersHaveTheirNamesAndShapes() throws {
    let shapes = Dictionary(
      uniqueKeysWithValues: try model().parameters().map { ($0.name, $0.value.shape) })
    var expected = [
      "item_embedding": [11, 4], "hidden.0.weight": [5, 4], "hidden.0.bias": [5],
      "hidden.1.weight": [3, 5], "hidden.1.bias": [3], "output_embedding": [11, 3],
      "output_bias": [11],
    ]
    for (norm, width) in [("input_norm", 4), ("hidden_norms.0", 5), ("hidden_norms.1", 3)] {
      for part in ["weight", "bias", "mean", "variance"] { expected["\(norm).\(part)"] = [width] }
    }
    #expect(shapes == expected)
  }

  @Test func theOrderOfABagDoesNotMatter() throws {
    let model = try model()
    func last(_ history: [Int32]) -> [Float] {
      model.encodeLast(PackedBatch([history]), on: .inference).values
    }
    let state = last([1, 4, 2, 2, 9]).map { Double($0) }
    expectClose(last([2, 9, 4, 1, 2]), state, .model, "another order")
    #expect(last([1, 4, 2, 9]) != last([1, 4, 2, 2, 9]), "items count as often as they occur")
  }

  @Test func bagsHoldTheNewestItemsAlone() throws {
    let model = try model()
    let long: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6]
    let all = model.encode(PackedBatch([long]), on: .inference)
    let newest = model.encode(PackedBatch([long.suffix(6)]), on: .inference)
    expectClose(
      all.block(rows: 7..<8).values, newest.block(rows: 5..<6).values.map { Double($0) }, .model,
      "state after eight items")
  }

  @Test func withoutHiddenLayersStatesAreNormalisedPairs() throws {
    let model = try model(hidden: [])
    let table = model.parameters()[0].value
    let state = model.encode(PackedBatch([[3, 8]]), on: .inference)
    let (a, b) = (
      table.block(rows: 3..<4).values.map { Double($0) },
      table.block(rows: 8..<9).values.map { Double($0) }
    )
    // The running moments begin as 0 and 1.
    let pairs = zip(a, b).map { $0 * $1 / 1.00001.squareRoot() }
    expectClose(state.values, [0, 0, 0, 0] + pairs, .model, "states")
  }

  @Test func multiplyAddsAreThoseCountedByHand() throws {
    // Pairs 3 * 4, maps 4 * 5 + 5 * 3, norms 4 + 5 + 3.
    let model = try model()
    #expect(model.cost(length: 3).macs == 12 + 35 + 12)
    #expect(model.cost(length: 100) == model.cost(length: 6))
    let counted = model.parameters().map { $0.value.count }.reduce(0, +)
    #expect(model.cost(length: 1).parameters == counted)
  }

  @Test func everyFieldReachesTheConfiguration() throws {
    let json = """
      {"model": "nfm", "items": 7, "dim": 6, "hidden": [3, 9], "dropout": 0.1, \
      "hidden_dropout": 0.3, "max_length": 4, "initial_std": 0.5, "seed": 9}
      """
    let c = try #require(try makeModel(json: Data(json.utf8)) as? NFM).configuration
    #expect(c.items == 7 && c.dim == 6 && c.hidden == [3, 9] && c.maxLength == 4)
    #expect(c.dropout == 0.1 && c.hiddenDropout == 0.3 && c.initialStd == 0.5 && c.seed == 9)
    #expect(throws: InvalidArgument("hidden[0] must be an integer in 1 ... 65536, got 0")) {
      try makeModel(json: Data(#"{"model": "nfm", "items": 3, "hidden": [0]}"#.utf8))
    }
  }
}
