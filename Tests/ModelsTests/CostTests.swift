import Interactions
import Layers
import Models
import Testing

@Suite struct CostTests {
  private func model(blocks: Int, norm: SASRec.Norm = .pre, tied: Bool = true) -> SASRec {
    var c = SASRec.Configuration(items: 10)
    (c.dim, c.innerDim, c.blocks, c.heads, c.maxLength) = (4, 6, blocks, 2, 5)
    (c.norm, c.tied) = (norm, tied)
    return SASRec(c)
  }

  @Test(arguments: SASRec.Norm.allCases, [true, false])
  func parametersAreTheSumOfTheShapes(norm: SASRec.Norm, tied: Bool) {
    let model = model(blocks: 2, norm: norm, tied: tied)
    let cost = model.cost(length: 3)
    let counted = model.parameters().map { $0.value.shape.reduce(1, *) }.reduce(0, +)
    #expect(cost.parameters == counted)
    #expect(cost.bytes == 4 * counted)
    // By hand: tables, norms, and in each block 4 d^2 + 4 d, 2 d i + i + d and two norms.
    let tables = (tied ? 10 : 20) * 4 + 5 * 4
    #expect(counted == tables + 8 + 2 * (64 + 16 + 48 + 6 + 4 + 16))
  }

  @Test func multiplyAddsOfOneBlockAreThoseCountedByHand() {
    // Three tokens of width 4: keys and values 3 * 2 * 16; one query, 16; scores and their sum 2 *
    // 3 * 4; the output map 16; the feed-forward net 2 * 4 * 6.
    #expect(model(blocks: 1).cost(length: 3).macs == 96 + 16 + 24 + 16 + 48)
  }

  @Test func multiplyAddsOfEarlierBlocksCountAllPositions() {
    // Three tokens: four maps 3 * 64, the net 3 * 48, scores and their sum 2 * 3 * 3 * 4.
    let one = model(blocks: 1).cost(length: 3).macs
    #expect(model(blocks: 2).cost(length: 3).macs - one == 192 + 144 + 72)
    #expect(model(blocks: 3).cost(length: 3).macs - one == 2 * (192 + 144 + 72))
    #expect(model(blocks: 0).cost(length: 3).macs == 0)
  }

  @Test func linearAttentionCostsNoSquareOfTheLength() {
    func macs(_ attention: AttentionOption, blocks: Int, length: Int) -> Int {
      var c = SASRec.Configuration(items: 10)
      (c.dim, c.innerDim, c.blocks, c.heads, c.maxLength) = (4, 6, blocks, 2, 100)
      c.attention = attention
      return SASRec(c).cost(length: length).macs
    }
    // The last block takes the same products of one query with all keys.
    #expect(macs(.linear, blocks: 1, length: 3) == macs(.softmax, blocks: 1, length: 3))
    func core(_ attention: AttentionOption, _ length: Int) -> Int {
      macs(attention, blocks: 2, length: length) - macs(attention, blocks: 1, length: length)
        - length * (64 + 48)
    }
    #expect(core(.linear, 3) == 2 * 3 * 4 * 2 && core(.linear, 90) == 2 * 90 * 4 * 2)
    // A chunk of 64 and one of 26, and the sums between them.
    #expect(core(.linearCausal, 90) == 2 * (64 * 64 + 26 * 26) * 4 + (26 + 64) * 4 * 2)
    #expect(core(.linearDecayed, 90) == core(.linearCausal, 90))
    // Padding costs as much as items do.
    #expect(macs(.linearOfficial, blocks: 2, length: 3) == macs(.linear, blocks: 2, length: 100))
  }

  @Test func lengthsAreThoseThatTheModelReads() {
    let model = model(blocks: 2)
    #expect(model.cost(length: 100) == model.cost(length: 5))
    #expect(model.cost(length: 0) == model.cost(length: 1))
  }

  @Test func popularityCostsNoMultiplications() {
    #expect(Popularity(items: 7).cost(length: 3) == Cost(parameters: 7, macs: 0))
  }
}
