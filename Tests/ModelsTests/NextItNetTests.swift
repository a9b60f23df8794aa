import Autograd
import Foundation
import Interactions
import Layers
import Models
import Testing
import _TestSupport

@Suite struct NextItNetTests {
  private func small(_ block: NextItNet.Block) -> NextItNet.Configuration {
    var c = NextItNet.Configuration(items: 11)
    (c.dim, c.block, c.dilations, c.maxLength) = (4, block, [1, 2], 6)
    return c
  }

  private func names(_ c: NextItNet.Configuration) -> [String] {
    NextItNet(c).parameters().map(\.name)
  }

  private func pairs(_ parts: [String]) -> [String] {
    parts.flatMap { ["\($0).weight", "\($0).bias"] }
  }

  @Test func parametersOfFullBlocksAreNamed() {
    var c = small(.full)
    let parts = ["convolution_a", "norm_a", "convolution_b", "norm_b"]
    let blocks = (0..<2).flatMap { b in pairs(parts.map { "blocks.\(b).\($0)" }) }
    #expect(names(c) == ["item_embedding"] + blocks + ["output_embedding", "output_bias"])
    let shapes = Dictionary(
      uniqueKeysWithValues: NextItNet(c).parameters().map { ($0.name, $0.value.shape) })
    #expect(shapes["blocks.1.convolution_b.weight"] == [4, 12])
    #expect(shapes["output_embedding"] == [11, 4] && shapes["output_bias"] == [11])
    (c.tied, c.dilations) = (true, [])
    #expect(names(c) == ["item_embedding", "output_bias"])
  }

  @Test func parametersOfBottlenecksAreNamed() {
    var c = small(.bottleneck)
    (c.residualWeights, c.dilations) = (true, [1])
    let parts = ["norm_a", "reduce", "norm_b", "convolution", "norm_c", "expand"]
    #expect(
      names(c) == ["item_embedding"] + pairs(parts.map { "blocks.0.\($0)" })
        + ["blocks.0.residual_weight", "output_embedding", "output_bias"])
    let shapes = Dictionary(
      uniqueKeysWithValues: NextItNet(c).parameters().map { ($0.name, $0.value.shape) })
    #expect(shapes["blocks.0.reduce.weight"] == [2, 4])
    #expect(shapes["blocks.0.convolution.weight"] == [2, 6])
    #expect(shapes["blocks.0.expand.weight"] == [4, 2])
    #expect(shapes["blocks.0.residual_weight"] == [1])
  }

  @Test(arguments: NextItNet.Block.allCases)
  func aNetWhoseResidualWeightsAreZeroGivesItsEmbeddings(block: NextItNet.Block) {
    var c = small(block)
    (c.residualWeights, c.outputActivation, c.dilations) = (true, .none, Array(1...32))
    let model = NextItNet(c)
    let batch = PackedBatch([[1, 2, 3], [4]])
    let table = model.parameters()[0].value
    let embeddings = gather(table, rows: batch.items, on: .inference)
    expectSameBits(
      model.encode(batch, on: .inference).values, embeddings.values, "states")
    expectSameBits(
      model.encodeLast(batch, on: .inference).values,
      gather(embeddings, rows: batch.lastTokens, on: .inference).values, "last states")
    for parameter in model.parameters() where parameter.name.hasSuffix("residual_weight") {
      #expect(parameter.value.values == [0])
    }
  }

  /// Two blocks with convolutions of dilations 1, 2, 2 and 4 over six positions: the last state reads
  /// positions {5, 1}, those {5, 3, 1}, those all odd ones, and those all.
  @Test func multiplyAddsAreThoseOfTheConeCountedByHand() {
    var c = small(.full)
    let model = NextItNet(c)
    #expect(model.cost(length: 6).macs == (3 + 3 + 2 + 1) * 3 * 16)
    #expect(model.cost(length: 100) == model.cost(length: 6))
    #expect(model.cost(length: 0).macs == 4 * 3 * 16)
    c = small(.bottleneck)
    // Dilations 1 and 2: {5}, {5, 3, 1}, all. Maps from and to half the width, and 3 * 2 * 2.
    #expect(NextItNet(c).cost(length: 6).macs == (6 + 3) * 8 + 3 * 12 + (3 + 1) * 8 + 12)
    let counted = NextItNet(c).parameters().map { $0.value.count }.reduce(0, +)
    #expect(NextItNet(c).cost(length: 1).parameters == counted)
  }

  @Test func convolutionsBeginWithinTwoDeviations() {
    for block in NextItNet.Block.allCases {
      var c = small(block)
      c.initialStd = 0.5
      for parameter in NextItNet(c).parameters() {
        let values = parameter.value.values
        if parameter.name.contains("norm") {
          #expect(values.allSatisfy { $0 == (parameter.name.hasSuffix("weight") ? 1 : 0) })
        } else if parameter.name.hasSuffix("bias") {
          #expect(values.allSatisfy { $0 == 0 })
        } else {
          #expect(values.allSatisfy { abs($0) <= 1 && $0 != 0 }, "\(parameter.name)")
        }
      }
    }
  }

  @Test func everyFieldReachesTheConfiguration() throws {
    let json = """
      {"model": "nextitnet", "items": 7, "dim": 6, "kernel": 2, "dilations": [1, 3, 9], \
      "block": "bottleneck", "residual_weights": true, "tied": true, "output_activation": "none", \
      "max_length": 4, "dropout": 0.1, "norm_epsilon": 1e-06, "initial_std": 0.5, "seed": 9}
      """
    let c = try #require(try makeModel(json: Data(json.utf8)) as? NextItNet).configuration
    #expect(c.items == 7 && c.dim == 6 && c.kernel == 2 && c.dilations == [1, 3, 9])
    #expect(c.block == .bottleneck && c.residualWeights && c.tied && c.outputActivation == .none)
    #expect(c.maxLength == 4 && c.dropout == 0.1 && c.normEpsilon == 1e-6)
    #expect(c.initialStd == 0.5 && c.seed == 9)
  }

  @Test(
    arguments: [
      (#""dilations": [1, 0]"#, "dilations[1] must be an integer in 1 ... 1000000, got 0"),
      (
        #""block": "bottleneck", "dim": 5"#,
        #"dim must be even for block "bottleneck", got 5"#
      ),
    ])
  func wrongBlocksAreNamed(fields: String, expected: String) {
    #expect(throws: InvalidArgument(expected)) {
      try makeModel(json: Data(#"{"model": "nextitnet", "items": 3, \#(fields)}"#.utf8))
    }
  }
}
