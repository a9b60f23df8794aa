import Autograd
import Interactions
import Layers
import Models
import Testing
import VectorLoops
import _TestSupport

@Suite struct SASRecPlusTests {
  private func configuration(blocks: Int = 2) -> SASRecPlus.Configuration {
    var c = SASRecPlus.Configuration(items: 11)
    (c.dim, c.blocks, c.heads, c.maxLength, c.initialStd, c.seed) = (8, blocks, 2, 6, 0.3, 5)
    return c
  }

  /// A model whose residuals count.
  private func model(blocks: Int = 2) -> SASRecPlus {
    let model = SASRecPlus(configuration(blocks: blocks))
    for (i, weight) in weights(of: model).enumerated() { weight.parameter.fill(0.5 + Float(i)) }
    return model
  }

  private func weights(of model: SASRecPlus) -> [NamedParameter] {
    model.parameters().filter {
      $0.name.hasSuffix("attention_weight") || $0.name.hasSuffix("forward_weight")
    }
  }

  @Test func parametersAreNamed() {
    let maps = ["input_norm", "qkv", "feed_forward_norm", "expand", "contract", "output_norm"]
    let blocks = (0..<2).flatMap { b in
      maps.flatMap { ["blocks.\(b).\($0).weight", "blocks.\(b).\($0).bias"] }
        + ["blocks.\(b).attention_weight", "blocks.\(b).feed_forward_weight"]
    }
    let names = ["item_embedding", "position_embedding"] + blocks
    let output = ["output_embedding", "output_bias"]
    var c = configuration()
    #expect(
      SASRecPlus(c).parameters().map(\.name)
        == names + ["final_norm.weight", "final_norm.bias"] + output)
    c.finalNorm = false
    #expect(SASRecPlus(c).parameters().map(\.name) == names + output)
  }

  @Test func laterItemsDoNotChangeEarlierStates() { expectCausal(model()) }

  @Test func weightsBeginAtZeroSoThatStatesSeeTheirItemAlone() throws {
    let model = SASRecPlus(configuration())
    #expect(weights(of: model).count == 4)
    #expect(weights(of: model).allSatisfy { $0.value.values == [0] })
    func last(_ history: [Int32]) -> [Float] {
      model.encode(PackedBatch([history]), on: .inference).values.suffix(8)
    }
    expectSameBits(last([1, 2, 3]), last([7, 0, 3]), "the state at an item")
    #expect(last([1, 2, 3]) != last([1, 2, 4]))
    // Norms of norms are norms, but for epsilon.
    let table = try #require(model.parameters().first { $0.name == "item_embedding" }).value
    let places = try #require(model.parameters().first { $0.name == "position_embedding" }).value
    let x = add(
      gather(table, rows: [3], on: .inference), gather(places, rows: [2], on: .inference),
      on: .inference)
    let norm = LayerNorm(8, epsilon: 1e-8)
    expectClose(
      last([1, 2, 3]), norm(x, on: .inference).values.map { Double($0) }, .model, "a norm")
  }

  @Test func weightsOfZeroGetGradients() throws {
    let model = SASRecPlus(configuration())
    let tape = Tape()
    let y = model.encode(PackedBatch([[1, 2, 3], [4, 5]]), on: Pass(tape: tape))
    tape.backward(from: y, cotangent: randomFloats(5 * 8, seed: 1))
    for weight in weights(of: model) {
      #expect(abs(try #require(tape.store[weight.value]).values[0]) > 1e-3, "\(weight.name)")
    }
  }

  @Test(arguments: 0...3)
  func theLastStatesAreThoseOfAllStates(blocks: Int) {
    let model = model(blocks: blocks)
    let batch = PackedBatch([[1, 4, 2, 9, 0, 7], [3], [5, 5, 8]])
    let all = model.encode(batch, on: .inference)
    let expected = gather(all, rows: batch.lastTokens, on: .inference).values
    let last = model.encodeLast(batch, on: .inference).values
    expectClose(last, expected.map { Double($0) }, .model, "last states")
    #expect(model.encodeLast(PackedBatch([]), on: .inference).shape == [0, 8])
  }

  @Test func weightsBeginAsTheAuthorsDo() throws {
    var c = configuration(blocks: 1)
    (c.dim, c.initialStd) = (48, 0.01)
    let model = SASRecPlus(c)
    func largest(_ name: String) throws -> Float {
      let parameter = try #require(model.parameters().first { $0.name == name })
      return parameter.value.values.map { abs($0) }.max() ?? 0
    }
    for name in ["item_embedding", "position_embedding"] {
      let number = try largest(name)
      #expect(number <= 0.02 && number > 0.015, "two deviations: \(name)")
    }
    #expect(try largest("output_embedding") > 0.02, "not cut off")
    for map in ["qkv", "expand", "contract"] {
      // Glorot's bound is that of a map of width 48 to width 48, also for three side by side.
      let weight = try largest("blocks.0.\(map).weight")
      #expect(weight <= 0.25 && weight > 0.24, "\(map)")
      #expect(try largest("blocks.0.\(map).bias") == 0)
    }
    let scorer = model.scorer(on: .inference)
    #expect(scorer.bias?.values == Array(repeating: 0.1, count: 11))
  }

  @Test func dropoutNeedsAKey() {
    let model = model()
    func states(_ key: RandomKey?) -> [Float] {
      model.encode(PackedBatch([[1, 2, 3], [4]]), on: Pass(tape: nil, dropoutKey: key)).values
    }
    let key = RandomKey(seed: 1, step: 1, op: 0)
    #expect(states(nil) == states(nil) && states(key) == states(key) && states(key) != states(nil))
  }

  @Test func costsAreThoseCountedByHand() {
    // Three tokens of width 8: the maps of a block 5 * 64 each, scores and their sum 2 * 9 * 8.
    let block = 3 * 5 * 64 + 2 * 9 * 8
    // The last state: keys and values of three tokens; a query, two maps, scores and their sum.
    let last = 3 * 2 * 64 + 3 * 64 + 2 * 3 * 8
    for (blocks, macs) in [(0, 0), (1, last), (2, block + last), (3, 2 * block + last)] {
      let cost = model(blocks: blocks).cost(length: 3)
      #expect(cost.macs == macs)
      // By hand: tables, the bias of items, and in each block five maps, three norms, two weights.
      let perBlock = 5 * 64 + 5 * 8 + 6 * 8 + 2
      #expect(cost.parameters == (11 + 6 + 11) * 8 + 11 + blocks * perBlock + 16)
    }
    #expect(model().cost(length: 100) == model().cost(length: 6))
  }
}
