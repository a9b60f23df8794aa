import Autograd
import Interactions
import Layers
import Models
import Testing
import VectorLoops
import _TestSupport

@Suite struct MLPMixerTests {
  private func configuration(layers: Int = 2) -> MLPMixer.Configuration {
    var c = MLPMixer.Configuration(items: 11)
    (c.dim, c.tokenDim, c.channelDim, c.layers, c.maxLength) = (8, 5, 12, layers, 6)
    (c.initialStd, c.seed) = (0.3, 5)
    return c
  }

  private func states(_ model: MLPMixer, _ histories: [[Int32]]) -> [Float] {
    model.encodeLast(PackedBatch(histories), on: .inference).values
  }

  @Test func parametersAreNamed() {
    let layer =
      ["token_norm", "token_expand", "token_contract"]
      + ["channel_norm", "channel_expand", "channel_contract"]
    let names =
      ["item_embedding"]
      + (0..<2).flatMap { l in
        layer.flatMap { ["layers.\(l).\($0).weight", "layers.\(l).\($0).bias"] }
      } + ["final_norm.weight", "final_norm.bias"]
    let parameters = MLPMixer(configuration()).parameters()
    #expect(parameters.map(\.name) == names)
    let shapes = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0.value.shape) })
    #expect(shapes["layers.1.token_expand.weight"] == [5, 6])
    #expect(shapes["layers.1.token_contract.weight"] == [6, 5])
    #expect(shapes["layers.1.channel_expand.weight"] == [12, 8])
  }

  @Test func everyItemReachesTheState() {
    let model = MLPMixer(configuration())
    #expect(!model.isCausal)
    let history: [Int32] = [1, 4, 2, 9, 0, 7]
    let before = states(model, [history])
    for t in history.indices {
      var changed = history
      changed[t] = 10
      #expect(states(model, [changed]) != before, "item \(t)")
    }
    #expect(states(model, [[4, 1] + history[2...]]) != before, "the order counts")
  }

  @Test func positionsSeeWhatFollowsThem() {
    var initializer = Initializer(seed: 1, deviation: 0.3)
    let layer = MixerLayer(
      MixerLayer.Configuration(length: 4, dim: 3, tokenDim: 5, channelDim: 6), using: &initializer)
    let x = randomFloats(12, seed: 2)
    var changed = x
    changed[9] += 1  // the last position
    func first(_ x: [Float]) -> [Float] {
      layer(Tensor(x, shape: [4, 3]), on: .inference).block(rows: 0..<1).values
    }
    #expect(first(changed) != first(x))
  }

  @Test func theLastPositionIsThatOfAllPositions() throws {
    var initializer = Initializer(seed: 3, deviation: 0.3)
    let layer = MixerLayer(
      MixerLayer.Configuration(length: 4, dim: 3, tokenDim: 5, channelDim: 6), using: &initializer)
    let x = randomLeaf(shape: [4 * 2, 3], seed: 4)
    let cotangent = randomFloats(2 * 3, seed: 5)
    let (all, one) = (Tape(), Tape())
    let y = layer(x, on: Pass(tape: all))
    all.backward(from: y, cotangent: Array(repeating: 0, count: 3 * 6) + cotangent)
    let last = layer.last(x, on: Pass(tape: one))
    one.backward(from: last, cotangent: cotangent)
    expectClose(last.values, y.values.suffix(6).map { Double($0) }, .model, "state")
    for leaf in [x] + layer.parameters().map(\.value) {
      let expected = try #require(all.store[leaf]).values.map { Double($0) }
      expectClose(try #require(one.store[leaf]).values, expected, .modelGradient, "gradient")
    }
  }

  @Test func statesDoNotDependOnTheOtherHistories() {
    let model = MLPMixer(configuration())
    let histories: [[Int32]] = [[3], [1, 4, 2, 9, 0, 7], [5, 5], [8, 1, 2]]
    let together = states(model, histories)
    let apart = histories.flatMap { states(model, [$0]) }
    expectClose(together, apart.map { Double($0) }, .model, "states")
  }

  @Test func aModelWithoutLayersNormalisesTheNewestEmbedding() {
    let model = MLPMixer(configuration(layers: 0))
    let newest = gather(model.scorer(on: .inference).table, rows: [3, 4], on: .inference)
    let norm = LayerNorm(8, epsilon: 1e-12)
    expectSameBits(
      states(model, [[1, 2, 3], [4]]), norm(newest, on: .inference).values, "states")
  }

  @Test func batchesWithoutHistoriesHaveNoStates() {
    for layers in 0...2 {
      let model = MLPMixer(configuration(layers: layers))
      #expect(model.encodeLast(PackedBatch([]), on: .inference).shape == [0, 8])
    }
  }

  @Test func dropoutNeedsAKey() {
    let model = MLPMixer(configuration())
    func run(_ key: RandomKey?) -> [Float] {
      model.encodeLast(PackedBatch([[1, 2], [3]]), on: Pass(tape: nil, dropoutKey: key)).values
    }
    let key = RandomKey(seed: 1, step: 1, op: 0)
    #expect(run(nil) == run(nil) && run(key) == run(key) && run(key) != run(nil))
    #expect(run(key) != run(RandomKey(seed: 1, step: 2, op: 0)))
  }

  @Test func positionMapsBeginWithinTheirBound() throws {
    var c = configuration(layers: 1)
    (c.maxLength, c.tokenDim) = (25, 16)
    let parameters = MLPMixer(c).parameters()
    for (name, bound) in [("token_expand", Float(0.2)), ("token_contract", 0.25)] {
      for kind in ["weight", "bias"] {
        let parameter = try #require(parameters.first { $0.name == "layers.0.\(name).\(kind)" })
        let largest = parameter.value.values.map { abs($0) }.max() ?? 0
        #expect(largest <= bound && largest > bound / 2, "\(name).\(kind)")
      }
    }
  }

  @Test func costsAreThoseCountedByHand() {
    // A layer has 6 positions of width 8: to 5 positions and back, then to 12 channels and back.
    let all = 2 * 6 * 5 * 8 + 2 * 6 * 8 * 12
    // At one position: the way to 5 positions is whole, the rest is for one of them.
    let last = 6 * 5 * 8 + 5 * 8 + 2 * 8 * 12
    for (layers, macs) in [(0, 0), (1, last), (2, all + last), (3, 2 * all + last)] {
      let model = MLPMixer(configuration(layers: layers))
      // Short histories are padded, so they cost as much.
      #expect(model.cost(length: 6).macs == macs && model.cost(length: 1).macs == macs)
      let perLayer = 2 * 5 * 6 + 5 + 6 + 2 * 12 * 8 + 12 + 8 + 4 * 8
      #expect(model.cost(length: 6).parameters == 11 * 8 + layers * perLayer + 16)
    }
  }

  @Test func theMixersOfTheSpecificationHaveTheirSizes() {
    var initializer = Initializer(seed: 0, deviation: 0.02)
    let layer = MixerLayer(
      MixerLayer.Configuration(length: 50, dim: 64, tokenDim: 64, channelDim: 256),
      using: &initializer)
    func size(_ prefix: String) -> Int {
      layer.parameters().filter { $0.name.hasPrefix(prefix) && !$0.name.contains("norm") }
        .reduce(0) { $0 + $1.value.count }
    }
    #expect(size("token") == 6514 && size("channel") == 33088)
  }
}
