import Autograd
import Interactions
import Layers
import Models
import Testing
import VectorLoops
import _TestSupport

@Suite struct BERT4RecTests {
  private func model(blocks: Int = 2) -> BERT4Rec {
    var c = BERT4Rec.Configuration(items: 11)
    (c.dim, c.innerDim, c.blocks, c.heads) = (8, 12, blocks, 2)
    (c.maxLength, c.initialStd, c.seed) = (6, 0.3, 5)
    return BERT4Rec(c)
  }

  @Test func parametersAreNamed() {
    let block = [
      "attention_norm", "attention.qkv", "attention.output", "feed_forward_norm",
      "feed_forward.expand", "feed_forward.contract",
    ]
    let maps =
      ["embedding_norm"] + (0..<2).flatMap { b in block.map { "blocks.\(b).\($0)" } }
      + ["head", "head_norm"]
    let parameters = model().parameters()
    #expect(
      parameters.map(\.name)
        == ["item_embedding", "position_embedding"]
        + maps.flatMap { ["\($0).weight", "\($0).bias"] } + ["output_bias"])
    let shapes = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0.value.shape) })
    #expect(shapes["item_embedding"] == [12, 8] && shapes["position_embedding"] == [7, 8])
    #expect(shapes["head.weight"] == [8, 8] && shapes["output_bias"] == [11])
  }

  @Test func theMaskIsNoItem() throws {
    let model = model()
    #expect(model.maskItem == 11 && model.itemCount == 11 && !model.isCausal)
    let scorer = model.scorer(on: .inference)
    #expect(scorer.table.shape == [11, 8])
    let table = try #require(model.parameters().first).value
    expectSameBits(scorer.table.values, Array(table.values[..<88]), "the items")
    let bias = try #require(model.parameters().last)
    #expect(bias.name == "output_bias" && scorer.bias === bias.value)
    #expect(model.itemVectors?.shape == [11, 8])
  }

  @Test func statesSeeBothSides() {
    let model = model()
    let history: [Int32] = [1, 4, 11, 9, 0, 7, 3]
    func state(_ history: [Int32]) -> [Float] {
      let all = model.encodeMasked(PackedBatch([[2], history, [5, 6]]), on: .inference)
      return all.block(rows: 3..<4).values
    }
    let before = state(history)
    for t in history.indices {
      var changed = history
      changed[t] = 10
      #expect(state(changed) != before, "item \(t)")
    }
  }

  @Test(arguments: 0...2)
  func theNextItemIsAGapAtTheEnd(blocks: Int) {
    let model = model(blocks: blocks)
    let histories: [[Int32]] = [[1, 4, 2, 9, 0, 7], [3], [5, 5, 8]]
    let gaps = PackedBatch(histories.map { $0 + [model.maskItem] })
    let expected = gather(
      model.encodeMasked(gaps, on: .inference), rows: gaps.lastTokens, on: .inference)
    let batch = PackedBatch(histories)
    let recorded = model.encodeLast(batch, on: Pass(tape: Tape()))
    expectSameBits(recorded.values, expected.values, "states of training")
    let served = model.encodeLast(batch, on: .inference)
    expectClose(served.values, expected.values.map { Double($0) }, .model, "states of inference")
    #expect(model.encodeLast(PackedBatch([]), on: .inference).shape == [0, 8])
  }

  @Test func theNewestItemReachesTheState() {
    // RecBole's code drops the first column, and with it the oldest item, even where there is room.
    let model = model()
    func state(_ history: [Int32]) -> [Float] {
      model.encodeLast(PackedBatch([history]), on: .inference).values
    }
    let before = state([1, 4, 2, 9, 0, 7])
    #expect(state([3, 4, 2, 9, 0, 7]) != before, "the oldest item counts too")
    #expect(state([1, 4, 2, 9, 0, 8]) != before)
    #expect(state([4, 1, 2, 9, 0, 7]) != before, "the order counts")
  }

  /// Counted from the mask, a place does not depend on how much lies before it.
  @Test func positionsMayBeginAtTheNewest() throws {
    var c = model(blocks: 0).configuration
    func state(_ positions: BERT4Rec.Positions, _ history: [Int32]) -> [Float] {
      c.positions = positions
      return BERT4Rec(c).encodeLast(PackedBatch([history]), on: .inference).values
    }
    #expect(state(.newest, [1, 4, 2]) == state(.newest, [2]))
    #expect(state(.oldest, [1, 4, 2]) != state(.oldest, [2]))
    #expect(PackedBatch([[7, 7, 7], [], [7]]).positionsFromNewest == [2, 1, 0, 0])
  }

  @Test func dropoutNeedsAKey() {
    let batch = PackedBatch([[1, 2, 11], [4]])
    let key = RandomKey(seed: 1, step: 1, op: 0)
    func states(_ key: RandomKey?, _ dropout: Float, _ attentionDropout: Float) -> [Float] {
      var c = model().configuration
      (c.dropout, c.attentionDropout) = (dropout, attentionDropout)
      return BERT4Rec(c).encodeMasked(batch, on: Pass(tape: nil, dropoutKey: key)).values
    }
    let plain = states(nil, 0.3, 0.3)
    #expect(states(key, 0, 0) == plain)
    #expect(states(key, 0.3, 0) != plain && states(key, 0, 0.3) != plain)
  }

  @Test func costsAreThoseCountedByHand() {
    // Three items and the mask: in the first block four maps, the net of 12, scores and their sum.
    let block = 4 * (4 * 64 + 2 * 8 * 12) + 2 * 16 * 8
    // The last state: keys and values; a query, the output map, the net, scores and their sum.
    let last = 4 * 2 * 64 + 2 * 64 + 2 * 8 * 12 + 2 * 4 * 8
    let perBlock = 4 * 64 + 4 * 8 + 2 * 8 * 12 + 12 + 8 + 4 * 8
    for (blocks, macs) in [(0, 0), (1, last), (2, block + last)] {
      let cost = model(blocks: blocks).cost(length: 3)
      #expect(cost.macs == macs + 64)
      #expect(cost.parameters == (12 + 7) * 8 + 16 + blocks * perBlock + 64 + 8 + 16 + 11)
    }
    #expect(model().cost(length: 100) == model().cost(length: 6))
  }
}
