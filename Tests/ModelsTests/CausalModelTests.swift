import Autograd
import Foundation
import Interactions
import Layers
import Models
import Testing
import VectorLoops
import _TestSupport

/// What every causal model owes to those that train and serve it.
@Suite struct CausalModelTests {
  /// A model, and the newest items that its states can see.
  struct Case: Sendable, CustomTestStringConvertible {
    let json: String
    var reach: Int? = .max
    var testDescription: String { json }
  }

  static let cases = [
    Case(json: #"{"model": "lrurec", "items": 11, "dim": 6, "state_dim": 5, "inner_dim": 7}"#),
    Case(json: #"{"model": "lrurec", "items": 11, "dim": 4, "blocks": 0}"#, reach: 1),
    Case(json: #"{"model": "gru4rec", "items": 11, "dim": 6, "hidden_dim": 5, "layers": 2}"#),
    Case(
      json: #"{"model": "gru4rec", "items": 11, "dim": 4, "hidden_dim": 7, "form": "tensorflow"}"#),
    // A kernel of two sees 1 + 1 + 2 positions with dilations 1 and 2.
    Case(
      json: #"{"model": "nextitnet", "items": 11, "dim": 6, "dilations": [1], "kernel": 2}"#,
      reach: 4),
    Case(
      json: """
        {"model": "nextitnet", "items": 11, "dim": 24, "dilations": [1, 2], "kernel": 2, \
        "block": "bottleneck", "residual_weights": true, "output_activation": "none"}
        """, reach: 4),
    Case(json: #"{"model": "caser", "items": 11, "dim": 6, "window": 3}"#, reach: 3),
    Case(
      json: #"{"model": "caser", "items": 11, "dim": 6, "window": 4, "form": "text"}"#, reach: 4),
    // One item has no pairs.
    Case(json: #"{"model": "nfm", "items": 11, "dim": 6, "hidden": [7, 5]}"#, reach: nil),
  ]

  private func model(_ json: String, _ more: String = "") throws -> any CausalModel {
    let made = try makeModel(json: Data((json.dropLast() + more + "}").utf8))
    return try #require(made as? any CausalModel)
  }

  @Test(arguments: cases)
  func laterItemsDoNotChangeEarlierStates(_ c: Case) throws {
    let model = try model(c.json)
    // Weights at their start can be so small that an item leaves no trace, or a block is off.
    for (i, parameter) in model.parameters().enumerated()
    where !parameter.name.hasSuffix("_log") && !parameter.parameter.isFrozen {
      let count = parameter.value.count
      parameter.parameter.set(randomFloats(count, seed: 400 + UInt64(i), in: -1...1))
    }
    expectCausal(model, reach: c.reach)
  }

  @Test(arguments: cases)
  func batchesWithoutHistoriesHaveNoStates(_ c: Case) throws {
    let model = try model(c.json)
    let width = model.scorer(on: .inference).table.columns
    #expect(model.encode(PackedBatch([]), on: .inference).shape == [0, width])
    #expect(model.encodeLast(PackedBatch([]), on: .inference).shape == [0, width])
  }

  @Test(arguments: cases)
  func dropoutNeedsAKey(_ c: Case) throws {
    let model = try model(c.json, #", "dropout": 0.4"#)
    let batch = PackedBatch([[1, 2, 3], [4, 5]])
    func states(_ key: RandomKey?) -> [Float] {
      model.encode(batch, on: Pass(tape: nil, dropoutKey: key)).values
    }
    let key = RandomKey(seed: 1, step: 1, op: 0)
    #expect(states(nil) == states(nil))
    #expect(states(key) == states(key))
    #expect(states(key) != states(nil))
    #expect(states(key) != states(RandomKey(seed: 1, step: 2, op: 0)))
  }

  @Test(arguments: cases)
  func configurationsMakeTheSameModelAgain(_ c: Case) throws {
    let model = try model(c.json, #", "seed": 18446744073709551615, "initial_std": 1e-20"#)
    let again = try self.model(model.configurationJSON)
    #expect(again.configurationJSON == model.configurationJSON)
    #expect(again.parameters().map(\.name) == model.parameters().map(\.name))
    #expect(again.parameters().map(\.value.values) == model.parameters().map(\.value.values))
    let other = try self.model(c.json, #", "seed": 5"#)
    #expect(other.parameters().map(\.value.values) != model.parameters().map(\.value.values))
  }

  /// More steps than one loop runs in a linear recurrence.
  @Test(arguments: cases)
  func streamsFollowLongHistories(_ c: Case) throws {
    guard let model = try model(c.json) as? any StreamingModel, let size = model.stateSize else {
      return
    }
    let histories: [[Int32]] = (0..<3).map { (s: Int) in
      (0..<280).map { (t: Int) in Int32((t * t + s * t) % 11) }
    }
    let all = histories.map { model.encode(PackedBatch([$0]), on: .inference) }
    let states = Tensor(shape: [3, size])
    states.matrix.zero()
    for t in 0..<280 {
      let newest = model.advance(states.matrix, by: histories.map { $0[t] })
      let expected = all.flatMap { $0.block(rows: t..<(t + 1)).values.map { Double($0) } }
      expectClose(newest.values, expected, .model, "states after \(t + 1) items")
    }
  }
}
