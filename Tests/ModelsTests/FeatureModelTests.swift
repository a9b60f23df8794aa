import Autograd
import Foundation
import Interactions
import Kernels
import Layers
import Models
import Testing
import _TestSupport

/// What SASRecF and FDSA share.
@Suite struct FeatureModelTests {
  private enum Kind: CaseIterable { case sasrecf, fdsa }

  private func settings(
    items: Int = 11, attention: AttentionOption = .softmax
  ) -> FeatureSettings {
    var s = FeatureSettings(
      items: items, features: [.categories(values: 5), .vectors(width: 3)], pooling: .mean)
    (s.dim, s.innerDim, s.heads, s.maxLength) = (8, 12, 2, 6)
    (s.attention, s.initialStd, s.seed) = (attention, 0.3, 5)
    return s
  }

  private func model(_ kind: Kind, _ s: FeatureSettings) throws -> any StreamingModel & FeatureModel
  {
    let model: any StreamingModel & FeatureModel = kind == .sasrecf ? SASRecF(s) : FDSA(s)
    let values = (0..<11).map { item in (0..<(item % 3)).map { Int32((item + $0) % 5) } }
    (model.features[0] as? CategoryFeature)?.set(
      Histories(values + Array(repeating: [], count: s.items - 11)))
    let vectors = randomFloats(11 * 3, seed: 7) + Array(repeating: 0, count: (s.items - 11) * 3)
    try vectors.withUnsafeBufferPointer {
      try (model.features[1] as? VectorFeature)?.set($0)
    }
    return model
  }

  private static let blockNames = [
    "attention_norm", "attention.qkv", "attention.output", "feed_forward_norm",
    "feed_forward.expand", "feed_forward.contract",
  ]

  private func names(_ parts: [String]) -> [String] {
    ["item_embedding", "position_embedding", "features.0.embedding"]
      + parts.flatMap { ["\($0).weight", "\($0).bias"] }
  }

  private func blocks(_ name: String) -> [String] {
    (0..<2).flatMap { b in Self.blockNames.map { "\(name).\(b).\($0)" } }
  }

  @Test func parametersAreNamed() {
    let sasrecf = SASRecF(settings()).parameters()
    #expect(
      sasrecf.map(\.name)
        == names(["features.1.map", "fusion", "embedding_norm"] + blocks("blocks")))
    let fdsa = FDSA(settings()).parameters()
    #expect(
      fdsa.map(\.name)
        == names(
          ["features.1.map", "field_attention.expand", "field_attention.score", "embedding_norm"]
            + blocks("item_blocks") + blocks("feature_blocks") + ["output"]))
    let shapes = Dictionary(
      (sasrecf + fdsa).map { ($0.name, $0.value.shape) },
      uniquingKeysWith: { first, _ in first })
    #expect(shapes["features.0.embedding"] == [5, 8] && shapes["features.1.map.weight"] == [8, 3])
    #expect(shapes["fusion.weight"] == [8, 24] && shapes["output.weight"] == [8, 16])
    #expect(shapes["field_attention.score.weight"] == [1, 8])
  }

  @Test(arguments: Kind.allCases, [AttentionOption.softmax, .linearCausal, .linearDecayed])
  private func laterItemsDoNotChangeEarlierStates(kind: Kind, attention: AttentionOption) throws {
    let model = try model(kind, settings(attention: attention))
    #expect(model.isCausal)
    expectCausal(model)
  }

  @Test(arguments: Kind.allCases)
  private func paddingIsAnItemWithoutFeatures(kind: Kind) throws {
    // The official form is attention over histories that end in one more item.
    let official = try model(kind, settings(attention: .linearOfficial))
    let padded = try model(kind, settings(items: 12, attention: .linear))
    #expect(!official.isCausal && official.scorer(on: .inference).table.shape == [11, 8])
    let own = padded.parameters().map(\.value)
    for (weight, other) in zip(official.parameters(), own) {
      weight.parameter.set(other.values)
    }
    let histories: [[Int32]] = [[1, 4, 2, 9, 0, 7], [3], [5, 5, 8]]
    let full = PackedBatch(histories.map { $0 + Array(repeating: 11, count: 6 - $0.count) })
    let expected = gather(
      padded.encode(full, on: .inference), rows: [5, 6, 14], on: .inference
    ).values.map { Double($0) }
    let batch = PackedBatch(histories)
    for pass in [Pass.inference, Pass(tape: Tape())] {
      expectClose(official.encodeLast(batch, on: pass).values, expected, .model, "last states")
    }
    #expect(official.encode(batch, on: .inference).shape == [10, 8])
    #expect(official.cost(length: 1).macs == padded.cost(length: 6).macs)
    #expect(official.paddedLength(2) == 6 && padded.paddedLength(2) == 2)
  }

  @Test(arguments: Kind.allCases)
  private func onlyCausalLinearAttentionStreams(kind: Kind) throws {
    for attention in AttentionOption.allCases {
      let model = try model(kind, settings(attention: attention))
      // Two blocks of two heads hold 4 x 4 sums each; FDSA has twice as many.
      let size = 1 + 2 * 2 * 16 * (kind == .fdsa ? 2 : 1)
      let streams = attention == .linearCausal || attention == .linearDecayed
      #expect(model.stateSize == (streams ? size : nil))
    }
  }

  @Test(arguments: Kind.allCases)
  private func featuresChangeTheStates(kind: Kind) throws {
    let model = try model(kind, settings())
    func state() -> [Float] {
      model.encodeLast(PackedBatch([[1, 4]]), on: .inference).values
    }
    let before = state()
    let none = Histories(Array(repeating: [], count: 11))
    (model.features[0] as? CategoryFeature)?.set(none)
    let without = state()
    #expect(without != before)
    try Array(repeating: Float(0), count: 33).withUnsafeBufferPointer {
      try (model.features[1] as? VectorFeature)?.set($0)
    }
    #expect(state() != without)
  }

  @Test func multiplyAddsAreThoseCountedByHand() {
    var s = settings()
    s.blocks = 0
    // Two tokens of width 8: the vectors' map 3 * 8 and the fusion 24 * 8 of each.
    #expect(SASRecF(s).cost(length: 2).macs == 2 * (24 + 192))
    // The vectors' map; for each feature W_1, w_2 and the weighted sum; once the output.
    #expect(FDSA(s).cost(length: 2).macs == 2 * (24 + 2 * (64 + 8 + 8)) + 128)
    s.blocks = 2
    let blocks = 2 * (4 * 64 + 2 * 8 * 12) + 2 * 2 * 2 * 8  // all of the first
    let last = 2 * 2 * 64 + 2 * 64 + 2 * 8 * 12 + 2 * 2 * 8
    #expect(SASRecF(s).cost(length: 2).macs == 2 * (24 + 192) + blocks + last)
    #expect(FDSA(s).cost(length: 2).macs == 2 * (24 + 160) + 128 + 2 * (blocks + last))
  }

  // MARK: - Configurations

  private static let json = """
    "items": 7, "features": [{"kind": "vectors", "width": 2}, {"kind": "categories", "values": 3}], \
    "pooling": "max", "dim": 6, "inner_dim": 5, "blocks": 3, "heads": 3, "max_length": 4, \
    "attention": "linear_causal", "dropout": 0.1, "attention_dropout": 0.2, "inner_dropout": 0.3, \
    "activation": "relu", "norm_epsilon": 1e-06, "initial_std": 0.5, "seed": 9}
    """

  private func make(_ json: String) throws -> any Recommender {
    try makeModel(json: Data(json.utf8))
  }

  @Test(arguments: ["sasrecf", "fdsa"])
  func everyFieldReachesTheSettings(name: String) throws {
    let made = try make("{\"model\": \"\(name)\", \(Self.json)")
    let s = try #require((made as? SASRecF)?.settings ?? (made as? FDSA)?.settings)
    #expect(s.items == 7 && s.features == [.vectors(width: 2), .categories(values: 3)])
    #expect(s.pooling == .max && s.dim == 6 && s.innerDim == 5 && s.blocks == 3 && s.heads == 3)
    #expect(s.maxLength == 4 && s.attention == .linearCausal && s.dropout == 0.1)
    #expect(s.attentionDropout == 0.2 && s.innerDropout == 0.3 && s.activation == .relu)
    #expect(s.normEpsilon == 1e-6 && s.initialStd == 0.5 && s.seed == 9)
    let again = try make(made.configurationJSON)
    #expect(again.configurationJSON == made.configurationJSON)
    #expect(again.parameters().map(\.value.values) == made.parameters().map(\.value.values))
  }

  @Test func poolingIsTheModelsOwnUnlessItIsNamed() throws {
    let features = #""items": 5, "features": [{"kind": "categories", "values": 3}]}"#
    #expect((try make(#"{"model": "sasrecf", "# + features) as? SASRecF)?.settings.pooling == .sum)
    #expect((try make(#"{"model": "fdsa", "# + features) as? FDSA)?.settings.pooling == .mean)
  }

  @Test(
    arguments: [
      (#""items": 5"#, "features must be 1 ... 1024, got 0"),
      (#""items": 5, "features": []"#, "features must be 1 ... 1024, got 0"),
      (
        #""items": 5, "features": {"kind": "vectors"}"#,
        "features must be a list of objects, got a list or an object"
      ),
      (#""items": 5, "features": [{"kind": "categories"}]"#, "features[0] lacks values"),
      (#""items": 5, "features": [{"kind": "vectors"}]"#, "features[0] lacks width"),
      (
        #""items": 5, "features": [{"kind": "vectors", "width": 0}]"#,
        "features[0].width must be an integer in 1 ... 1048576, got 0"
      ),
      (
        #""items": 5, "features": [{"kind": "vectors", "width": 2, "values": 2}]"#,
        "features[0] has no field values"
      ),
      (
        #""items": 5, "features": [{"kind": "words", "width": 2}]"#,
        #"features[0].kind must be one of "categories", "vectors", got "words""#
      ),
      (
        #""items": 5, "features": [{"kind": "vectors", "width": 2}], "dim": 6, "heads": 4"#,
        "heads must divide dim, got heads 4 and dim 6"
      ),
    ], ["sasrecf", "fdsa"])
  func wrongSettingsAreNamed(wrong: (fields: String, expected: String), name: String) {
    do {
      _ = try make("{\"model\": \"\(name)\", \(wrong.fields)}")
      Issue.record("\(wrong.fields) is accepted")
    } catch {
      #expect((error as? InvalidArgument)?.message == wrong.expected)
    }
  }

  @Test(
    arguments: [
      #""items": 5, "dim": 65536, "features": [{"kind": "categories", "values": 2147483647}]"#,
      #""items": 5, "dim": 65536, "features": [{"kind": "vectors", "width": 1048576}]"#,
    ], ["sasrecf", "fdsa"])
  func modelsBeyondAnyMemoryAreRefused(fields: String, name: String) {
    #expect(throws: OutOfMemory.self) { try make("{\"model\": \"\(name)\", \(fields)}") }
  }
}
