import Autograd
import Foundation
import Interactions
import Layers
import Models
import Testing
import VectorLoops
import _TestSupport

@Suite struct SASRecTests {
  private func configuration(
    _ norm: SASRec.Norm, tied: Bool = true, attention: AttentionOption = .softmax
  ) -> SASRec.Configuration {
    var c = SASRec.Configuration(items: 11)
    c.attention = attention
    (c.dim, c.innerDim, c.blocks, c.heads, c.maxLength) = (8, 12, 2, 2, 6)
    (c.norm, c.tied, c.initialStd, c.seed) = (norm, tied, 0.3, 5)
    return c
  }

  private static let blockNames = [
    "attention_norm.weight", "attention_norm.bias", "attention.qkv.weight", "attention.qkv.bias",
    "attention.output.weight", "attention.output.bias", "feed_forward_norm.weight",
    "feed_forward_norm.bias", "feed_forward.expand.weight", "feed_forward.expand.bias",
    "feed_forward.contract.weight", "feed_forward.contract.bias",
  ]
  private static let blocks = (0..<2).flatMap { b in blockNames.map { "blocks.\(b).\($0)" } }

  @Test func parametersOfPostNormAreNamed() {
    #expect(
      SASRec(configuration(.post)).parameters().map(\.name)
        == ["item_embedding", "position_embedding", "embedding_norm.weight", "embedding_norm.bias"]
        + Self.blocks)
  }

  @Test(arguments: [SASRec.Norm.pre, .query])
  func parametersOfTheOtherNormsAreNamed(norm: SASRec.Norm) {
    #expect(
      SASRec(configuration(norm)).parameters().map(\.name)
        == ["item_embedding", "position_embedding"] + Self.blocks
        + ["final_norm.weight", "final_norm.bias"])
  }

  @Test(arguments: 1...8)
  func ratesOfDecayBeginFarApart(heads: Int) throws {
    var c = SASRec.Configuration(items: 3)
    (c.dim, c.heads, c.blocks, c.attention) = (8 * heads, heads, 1, .linearDecayed)
    let model = SASRec(c)
    let names = model.parameters().map(\.name)
    let place = try #require(names.firstIndex(of: "blocks.0.attention.decay_log"))
    #expect(names[place - 1] == "blocks.0.attention.output.bias")
    let rates = model.parameters()[place].value.values.map { exp(Double($0)) }
    #expect(rates.count == heads && rates.allSatisfy { (1 / 512...1 / 2).contains($0) })
    // Whatever their number, the first are 2^-5.944 and 2^-2.889.
    for (rate, expected) in zip(rates, [0.016240, 0.135040]) {
      #expect(abs(rate / expected - 1) < 1e-4)
    }
    let logs = rates.map { -log2($0) }.sorted()
    let gaps = zip(logs, logs.dropFirst()).map { $1 - $0 }
    #expect(gaps.allSatisfy { $0 > 3 / Double(heads) })
  }

  @Test func anUntiedTableComesLast() {
    let model = SASRec(configuration(.pre, tied: false))
    let last = model.parameters().last
    #expect(last?.name == "output_embedding")
    #expect(
      last?.value === model.scorer(on: .inference).table
        && model.itemVectors === model.scorer(on: .inference).table)
    let tied = SASRec(configuration(.pre))
    #expect(tied.parameters().first?.value === tied.scorer(on: .inference).table)
  }

  @Test func shapesFollowTheConfiguration() {
    let shapes = Dictionary(
      uniqueKeysWithValues: SASRec(configuration(.post)).parameters().map {
        ($0.name, $0.value.shape)
      })
    #expect(shapes["item_embedding"] == [11, 8] && shapes["position_embedding"] == [6, 8])
    #expect(shapes["blocks.1.attention.qkv.weight"] == [24, 8])
    #expect(shapes["blocks.1.attention.qkv.bias"] == [24])
    #expect(shapes["blocks.1.feed_forward.expand.weight"] == [12, 8])
    #expect(shapes["blocks.1.feed_forward.contract.weight"] == [8, 12])
  }

  @Test func equalSeedsGiveEqualWeights() {
    func weights(_ seed: UInt64) -> [[Float]] {
      var c = configuration(.pre)
      c.seed = seed
      return SASRec(c).parameters().map(\.value.values)
    }
    #expect(weights(1) == weights(1))
    #expect(weights(1) != weights(2))
  }

  @Test(arguments: SASRec.Norm.allCases, [AttentionOption.softmax, .linearCausal, .linearDecayed])
  func laterItemsDoNotChangeEarlierStates(norm: SASRec.Norm, attention: AttentionOption) {
    let model = SASRec(configuration(norm, attention: attention))
    #expect(model.isCausal)
    expectCausal(model)
  }

  @Test func dropoutNeedsAKey() {
    var c = configuration(.pre)
    (c.dropout, c.attentionDropout, c.innerDropout) = (0.3, 0.3, 0.3)
    let model = SASRec(c)
    let batch = PackedBatch([[1, 2, 3], [4]])
    func states(_ key: RandomKey?) -> [Float] {
      model.encode(batch, on: Pass(tape: nil, dropoutKey: key)).values
    }
    let key = RandomKey(seed: 1, step: 1, op: 0)
    #expect(states(nil) == states(nil))
    #expect(states(key) == states(key))
    #expect(states(key) != states(nil))
    #expect(states(key) != states(RandomKey(seed: 1, step: 2, op: 0)))
  }

  @Test(arguments: SASRec.Norm.allCases)
  func batchesWithoutHistoriesHaveNoStates(norm: SASRec.Norm) {
    let model = SASRec(configuration(norm))
    #expect(model.encode(PackedBatch([]), on: .inference).shape == [0, 8])
    #expect(model.encodeLast(PackedBatch([]), on: .inference).shape == [0, 8])
  }

  @Test func aModelWithoutBlocksScoresItsEmbeddings() {
    var c = configuration(.pre)
    c.blocks = 0
    let model = SASRec(c)
    let batch = PackedBatch([[1, 2, 3], [4]])
    let all = model.encode(batch, on: .inference)
    let expected = gather(all, rows: batch.lastTokens, on: .inference).values
    expectSameBits(model.encodeLast(batch, on: .inference).values, expected, "last states")
  }

  @Test(arguments: [AttentionOption.linear, .linearOfficial])
  func withoutAMaskEveryStateSeesEveryItemOfItsHistory(attention: AttentionOption) {
    let model = SASRec(configuration(.post, attention: attention))
    #expect(!model.isCausal)
    func states(_ last: Int32) -> [Float] {
      model.encode(PackedBatch([[3, 5], [1, 4, last], [6]]), on: .inference).values
    }
    let (before, after) = (states(2), states(9))
    for t in 0..<6 {
      let row = (t * 8)..<((t + 1) * 8)
      #expect((before[row] != after[row]) == (2..<5).contains(t), "token \(t)")
    }
  }

  @Test func paddingCountsOnlyInTheOfficialForm() throws {
    let models = [AttentionOption.linear, .linearOfficial].map {
      SASRec(configuration(.post, attention: $0))
    }
    let tables = try models.map { try #require($0.parameters().first?.value) }
    #expect(tables.map(\.shape) == [[11, 8], [12, 8]])
    #expect(models.map { $0.scorer(on: .inference).table.rows } == [11, 11])
    func scores(_ history: [Int32]) -> [[Float]] {
      models.map { model in
        let scores = Tensor(shape: [1, 11])
        model.score(PackedBatch([history]), into: scores.matrix)
        return scores.values
      }
    }
    let (short, full) = ([1, 4] as [Int32], [1, 4, 2, 9, 0, 7] as [Int32])
    let before = [scores(short), scores(full)]
    for c in 0..<8 { tables[1].pointer[11 * 8 + c] += Float(c) }
    let after = [scores(short), scores(full)]
    #expect(before[0][1] != after[0][1], "a history with padding")
    #expect(before[1][1] == after[1][1], "a history without")
  }

  @Test(arguments: [AttentionOption.linearCausal, .linearDecayed])
  func streamsBeyondTheLargestLengthStayAtTheLastPosition(attention: AttentionOption) throws {
    let model = SASRec(configuration(.pre, attention: attention))
    var longer = model.configuration
    longer.maxLength = 9
    let whole = SASRec(longer)
    for (own, other) in zip(model.parameters(), whole.parameters()) {
      let rows = other.value.rows
      for r in 0..<rows {
        (other.value.pointer + r * own.value.columns).update(
          from: own.value.pointer + min(r, own.value.rows - 1) * own.value.columns,
          count: own.value.columns)
      }
    }
    let history: [Int32] = [1, 4, 2, 9, 0, 7, 7, 3, 10]
    let expected = whole.encode(PackedBatch([history]), on: .inference)
    let states = Tensor(shape: [1, try #require(model.stateSize)])
    states.matrix.zero()
    for (t, item) in history.enumerated() {
      let state = model.advance(states.matrix, by: [item])
      expectClose(
        state.values, expected.block(rows: t..<(t + 1)).values.map { Double($0) }, .model,
        "state after \(t + 1) items")
    }
    #expect(states.pointer[0] == 6)
  }

  @Test(arguments: [AttentionOption.softmax, .linear, .linearOfficial])
  func onlyCausalLinearAttentionStreams(attention: AttentionOption) {
    #expect(SASRec(configuration(.post, attention: attention)).stateSize == nil)
  }
}
