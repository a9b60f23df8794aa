import Autograd
import Interactions
import Layers
import Models
import Testing
import VectorLoops
import _TestSupport

@Suite struct CORETests {
  private func model(
    _ variant: CORE.Variant, edit: (inout CORE.Configuration) -> Void = { _ in }
  ) -> CORE {
    var c = CORE.Configuration(items: 11)
    (c.variant, c.dim, c.innerDim, c.blocks, c.heads) = (variant, 8, 12, 2, 2)
    (c.maxLength, c.seed) = (6, 5)
    edit(&c)
    return CORE(c)
  }

  private func lengths(of rows: Tensor) -> [Double] {
    stride(from: 0, to: rows.count, by: rows.columns).map { start in
      rows.values[start..<(start + rows.columns)].reduce(0) { $0 + Double($1) * Double($1) }
        .squareRoot()
    }
  }

  @Test func parametersAreNamed() {
    let block = [
      "attention_norm", "attention.qkv", "attention.output", "feed_forward_norm",
      "feed_forward.expand", "feed_forward.contract",
    ]
    let maps =
      ["embedding_norm"] + (0..<2).flatMap { b in block.map { "blocks.\(b).\($0)" } }
      + ["score"]
    #expect(
      model(.trm).parameters().map(\.name)
        == ["item_embedding", "position_embedding"]
        + maps.flatMap { ["\($0).weight", "\($0).bias"] })
    #expect(model(.ave).parameters().map(\.name) == ["item_embedding"])
  }

  @Test(arguments: CORE.Variant.allCases)
  func laterItemsDoNotChangeEarlierStates(variant: CORE.Variant) { expectCausal(model(variant)) }

  @Test(arguments: CORE.Variant.allCases)
  func statesAreUnitVectorsAndItemsAreDividedByTheTemperature(variant: CORE.Variant) {
    let model = model(variant) { $0.temperature = 0.25 }
    let states = model.encode(PackedBatch([[1, 2, 3, 1], [4]]), on: .inference)
    expectClose(
      lengths(of: states).map { Float($0) }, Array(repeating: 1, count: 5), .unitRows, "states")
    let table = model.scorer(on: .inference).table
    #expect(model.scorer(on: .inference).bias == nil && table.shape == [11, 8])
    expectClose(
      lengths(of: table).map { Float($0) }, Array(repeating: 4, count: 11), .unitRows, "items")
  }

  @Test func theFirstStateIsItsItem() {
    // The score of the only item is the largest there can be: 1 over the temperature.
    for variant in CORE.Variant.allCases {
      let model = model(variant)
      let scores = Tensor(shape: [1, 11])
      model.score(PackedBatch([[7]]), into: scores.matrix)
      expectClose([scores.values[7]], [1 / Double(Float(0.07))], .model, "its own score")
      #expect(scores.values.max() == scores.values[7])
    }
  }

  @Test func equalWeightsDoNotKnowTheOrder() {
    let histories: [[Int32]] = [[1, 4, 4, 9], [4, 9, 1, 4]]
    func last(_ variant: CORE.Variant) -> [[Float]] {
      let states = model(variant).encodeLast(PackedBatch(histories), on: .inference)
      return (0..<2).map { states.block(rows: $0..<($0 + 1)).values }
    }
    let average = last(.ave)
    expectClose(average[0], average[1].map { Double($0) }, .model, "the state")
    let weighted = last(.trm)
    #expect(zip(weighted[0], weighted[1]).contains { abs($0 - $1) > 1e-3 })
  }

  @Test func scoresDoNotDependOnTheScaleOfItems() throws {
    let model = model(.ave)
    let batch = PackedBatch([[1, 2, 3], [4]])
    let (before, after) = (Tensor(shape: [2, 11]), Tensor(shape: [2, 11]))
    model.score(batch, into: before.matrix)
    let table = try #require(model.parameters().first).value
    for i in 0..<table.count { table.pointer[i] *= 32 }
    model.score(batch, into: after.matrix)
    expectClose(after.values, before.values.map { Double($0) }, .model, "scores")
  }

  @Test func everyParameterBeginsUniform() {
    let bound = 1 / Float(8).squareRoot()
    for parameter in model(.trm).parameters() {
      let values = parameter.value.values
      #expect(values.allSatisfy { abs($0) <= bound }, "\(parameter.name)")
      #expect(values.count == 1 || Set(values).count > values.count / 2, "\(parameter.name)")
    }
  }

  @Test func droppingNeedsAKey() {
    let batch = PackedBatch([[1, 2, 3], [4, 5]])
    let key = RandomKey(seed: 1, step: 1, op: 0)
    func none(_ c: inout CORE.Configuration) {
      (c.dropout, c.attentionDropout, c.sessionDropout, c.itemDropout) = (0, 0, 0, 0)
    }
    func states(_ key: RandomKey?, _ edit: @escaping (inout CORE.Configuration) -> Void) -> [Float]
    {
      model(.trm, edit: edit).encode(batch, on: Pass(tape: nil, dropoutKey: key)).values
    }
    func table(_ key: RandomKey?, _ edit: @escaping (inout CORE.Configuration) -> Void) -> [Float] {
      model(.trm, edit: edit).scorer(on: Pass(tape: nil, dropoutKey: key)).table.values
    }
    let plain = states(nil, none)
    #expect(states(key, none) == plain && table(key, none) == table(nil, none))
    // Each of the four is dropped where it should be.
    let edits: [(inout CORE.Configuration) -> Void] = [
      { $0.dropout = 0.3 }, { $0.attentionDropout = 0.3 }, { $0.sessionDropout = 0.3 },
    ]
    for edit in edits {
      func only(_ c: inout CORE.Configuration) {
        none(&c)
        edit(&c)
      }
      #expect(states(key, only) != plain && states(nil, only) == plain)
      #expect(table(key, only) == table(nil, none))
    }
    func items(_ c: inout CORE.Configuration) {
      none(&c)
      c.itemDropout = 0.3
    }
    #expect(states(key, items) == plain && table(key, items) != table(nil, items))
  }

  @Test func batchesWithoutHistoriesHaveNoStates() {
    for variant in CORE.Variant.allCases {
      #expect(model(variant).encode(PackedBatch([]), on: .inference).shape == [0, 8])
      #expect(model(variant).encodeLast(PackedBatch([]), on: .inference).shape == [0, 8])
    }
  }

  @Test func costsAreThoseCountedByHand() {
    // Three tokens of width 8: four maps, the net of 12, scores and their sum; in both blocks.
    let block = 3 * (4 * 64 + 2 * 8 * 12) + 2 * 9 * 8
    // A number for each item, and their average.
    let cost = model(.trm).cost(length: 3)
    #expect(cost.macs == 2 * block + 3 * 8 + 3 * 8)
    let perBlock = 4 * 64 + 4 * 8 + 2 * 8 * 12 + 12 + 8 + 4 * 8
    #expect(cost.parameters == (11 + 6) * 8 + 16 + 2 * perBlock + 9)
    #expect(model(.trm).cost(length: 100) == model(.trm).cost(length: 6))
    #expect(model(.ave).cost(length: 3) == Cost(parameters: 88, macs: 24))
  }
}
