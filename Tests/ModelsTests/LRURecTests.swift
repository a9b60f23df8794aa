import Autograd
import Foundation
import Interactions
import Layers
import Models
import Testing
import _TestSupport

@Suite struct LRURecTests {
  private var small: LRURec.Configuration {
    var c = LRURec.Configuration(items: 11)
    (c.dim, c.stateDim, c.innerDim, c.blocks, c.maxLength) = (4, 3, 5, 2, 6)
    return c
  }

  @Test func parametersHaveTheirNamesAndShapes() {
    let shapes = Dictionary(
      uniqueKeysWithValues: LRURec(small).parameters().map { ($0.name, $0.value.shape) })
    var expected = ["item_embedding": [11, 4], "output_bias": [11]]
    func norm(_ name: String) {
      expected["\(name).weight"] = [4]
      expected["\(name).bias"] = [4]
    }
    norm("embedding_norm")
    for block in ["blocks.0", "blocks.1"] {
      for log in ["nu_log", "theta_log", "gamma_log"] {
        expected["\(block).recurrence.\(log)"] = [3]
      }
      expected["\(block).recurrence.input.weight"] = [6, 4]
      expected["\(block).recurrence.input.bias"] = [6]
      expected["\(block).recurrence.output.weight"] = [4, 6]
      expected["\(block).recurrence.output.bias"] = [4]
      norm("\(block).recurrence_norm")
      expected["\(block).feed_forward.expand.weight"] = [5, 4]
      expected["\(block).feed_forward.expand.bias"] = [5]
      expected["\(block).feed_forward.contract.weight"] = [4, 5]
      expected["\(block).feed_forward.contract.bias"] = [4]
      norm("\(block).feed_forward_norm")
    }
    #expect(shapes == expected)
  }

  /// Eigenvalues begin on the ring, uniform by area, with angles uniform below the largest.
  @Test func eigenvaluesBeginOnTheRing() throws {
    var c = small
    (c.stateDim, c.blocks) = (20_000, 1)
    c.ring = LinearRecurrence.Ring(inner: 0.8, outer: 0.99, maximalPhase: 1.5)
    let parameters = Dictionary(
      uniqueKeysWithValues: LRURec(c).parameters().map { ($0.name, $0.value.values) })
    func numbers(_ name: String) throws -> [Double] {
      try #require(parameters["blocks.0.recurrence.\(name)"]).map { Double($0) }
    }
    let areas = try numbers("nu_log").map { exp(-2 * exp($0)) }
    #expect(areas.allSatisfy { $0 > 0.64 - 1e-6 && $0 < 0.9801 + 1e-6 })
    let phases = try numbers("theta_log").map { exp($0) / 1.5 }
    for shares in [areas.map { ($0 - 0.64) / (0.9801 - 0.64) }, phases] {
      // The largest difference from the uniform distribution, below 1e-8 by chance.
      let sorted = shares.sorted()
      let distance = sorted.indices.reduce(0) {
        max($0, abs(sorted[$1] - (Double($1) + 0.5) / 20_000))
      }
      #expect(distance < 0.022)
    }
    let gammas = try numbers("gamma_log").map { exp(2 * $0) }
    expectClose(
      zip(areas, gammas).map { Float($0 + $1) }, areas.map { _ in 1 }, .rounding,
      "|lambda|^2 + gamma^2")
  }

  @Test func otherWeightsBeginWithinTwoDeviations() {
    var c = small
    c.initialStd = 0.5
    for parameter in LRURec(c).parameters() {
      let values = parameter.value.values
      if parameter.name.hasSuffix("_log") { continue }
      if parameter.name.contains("norm") {
        let start: Float = parameter.name.hasSuffix("weight") ? 1 : 0
        #expect(values.allSatisfy { $0 == start }, "\(parameter.name)")
      } else {
        #expect(values.allSatisfy { abs($0) <= 1 && $0 != 0 }, "\(parameter.name)")
      }
    }
  }

  @Test func multiplyAddsAreThoseCountedByHand() {
    // Three tokens of width 4 with 3 complex numbers: in 3 * 24, recurrence 3 * 18; the last state's
    // map 24 and net 2 * 4 * 5.
    var c = small
    c.blocks = 1
    let one = LRURec(c).cost(length: 3)
    #expect(one.macs == 72 + 54 + 24 + 40)
    // A block before it maps every state.
    c.blocks = 2
    let two = LRURec(c)
    #expect(two.cost(length: 3).macs - one.macs == 72 + 54 + 3 * (24 + 40))
    #expect(two.cost(length: 100) == two.cost(length: 6))
    let counted = two.parameters().map { $0.value.shape.reduce(1, *) }.reduce(0, +)
    #expect(two.cost(length: 1).parameters == counted)
    #expect(counted == 11 * 5 + 8 + 2 * (9 + 30 + 28 + 25 + 24 + 16))
    c.blocks = 0
    #expect(LRURec(c).cost(length: 3).macs == 0)
  }

  @Test func everyFieldReachesTheConfiguration() throws {
    let json = """
      {"model": "lrurec", "items": 7, "dim": 6, "state_dim": 9, "inner_dim": 5, "blocks": 3, \
      "max_length": 4, "dropout": 0.1, "recurrence_dropout": 0.3, "norm_epsilon": 1e-06, \
      "ring_min": 0.1, "ring_max": 0.5, "max_phase": 2, "initial_std": 0.5, "seed": 9}
      """
    let model = try #require(try makeModel(json: Data(json.utf8)) as? LRURec)
    let c = model.configuration
    #expect(c.items == 7 && c.dim == 6 && c.stateDim == 9 && c.innerDim == 5 && c.blocks == 3)
    #expect(c.maxLength == 4 && c.dropout == 0.1 && c.recurrenceDropout == 0.3)
    #expect(c.normEpsilon == 1e-6 && c.initialStd == 0.5 && c.seed == 9)
    #expect(c.ring.inner == 0.1 && c.ring.outer == 0.5 && c.ring.maximalPhase == 2)
    #expect(model.stateSize == 3 * 2 * 9)
    let dropout = #"{"model": "lrurec", "items": 7, "dropout": 0.6}"#
    let other = try #require(try makeModel(json: Data(dropout.utf8)) as? LRURec)
    #expect(other.configuration.recurrenceDropout == 0.6)
  }

  @Test(
    arguments: [
      (#""ring_min": 0.5, "ring_max": 0.5"#, "ring_min must be below ring_max, got 0.5 and 0.5"),
      (#""ring_max": 1.5"#, "ring_max must be a number from 0.0 to 1.0, got 1.5"),
      (#""max_phase": 0"#, "max_phase must be above 0, got 0"),
    ])
  func wrongRingsAreNamed(fields: String, expected: String) {
    #expect(throws: InvalidArgument(expected)) {
      try makeModel(json: Data(#"{"model": "lrurec", "items": 3, \#(fields)}"#.utf8))
    }
  }
}
