import Autograd
import Foundation
import Interactions
import Layers
import Models
import Testing
import Training
import _TestSupport

/// Every kind of model goes through the trainer.
@Suite struct ModelTrainingTests {
  private static let items = 20

  private static let models = [
    #"{"model": "sasrec", "dim": 16, "inner_dim": 24, "blocks": 1, "attention": "linear""#,
    #"{"model": "sasrec", "dim": 16, "inner_dim": 24, "blocks": 1, "attention": "linear_causal""#,
    #"{"model": "sasrec", "dim": 16, "inner_dim": 24, "blocks": 1, "attention": "linear_decayed""#,
    #"{"model": "sasrec", "dim": 16, "inner_dim": 24, "blocks": 1, "attention": "linear_official""#,
    #"{"model": "sasrecf", "dim": 16, "inner_dim": 24, "blocks": 1, \#(features)"#,
    #"{"model": "fdsa", "dim": 16, "inner_dim": 24, "blocks": 1, \#(features)"#,
    #"{"model": "mixer", "dim": 16, "layers": 1, "token_dim": 12, "channel_dim": 24"#,
    #"{"model": "sasrec_plus", "dim": 16, "blocks": 3"#,
    #"{"model": "core", "dim": 16, "inner_dim": 24, "blocks": 1, "temperature": 0.2"#,
    #"{"model": "bert4rec", "dim": 16, "inner_dim": 24, "blocks": 1"#,
    #"{"model": "lrurec", "dim": 16, "state_dim": 24, "inner_dim": 24, "blocks": 1"#,
    #"{"model": "gru4rec", "dim": 16, "hidden_dim": 24"#,
    #"{"model": "gru4rec", "dim": 16, "hidden_dim": 24, "form": "tensorflow""#,
    #"{"model": "nextitnet", "dim": 16, "dilations": [1, 2]"#,
    #"{"model": "nfm", "dim": 24, "hidden": [24]"#,
    #"{"model": "caser", "dim": 16, "window": 3, "users": 300"#,
    #"{"model": "caser", "dim": 16, "form": "text", "horizontal_filters": 20"#,
    deepNextItNet,
  ]

  private static let features = """
    "features": [{"kind": "categories", "values": 3}, {"kind": "vectors", "width": 2}]
    """

  /// 32 blocks, which only train because their branches begin with the weight zero.
  private static let deepNextItNet = """
    {"model": "nextitnet", "dim": 16, "block": "bottleneck", "residual_weights": true, \
    "dilations": \(Array(repeating: 1, count: 32))
    """

  private static let noDropout: [String: String] = [
    "sasrec": #""dropout": 0"#, "mixer": #""dropout": 0"#, "sasrec_plus": #""dropout": 0"#,
    "lrurec": #""dropout": 0"#, "gru4rec": #""dropout": 0"#, "nextitnet": #""dropout": 0"#,
    "caser": #""dropout": 0"#, "nfm": #""dropout": 0, "hidden_dropout": 0"#,
    "bert4rec": #""dropout": 0, "attention_dropout": 0"#,
    "sasrecf": #""dropout": 0, "attention_dropout": 0"#,
    "fdsa": #""dropout": 0, "attention_dropout": 0"#,
    "core": """
    "dropout": 0, "attention_dropout": 0, "session_dropout": 0, "item_dropout": 0
    """,
  ]

  private func model(_ text: String, dropping: Bool) throws -> any SequentialModel {
    let name = try #require(Self.noDropout.keys.first { text.contains("\"\($0)\"") })
    let rest = dropping ? "" : ", " + (Self.noDropout[name] ?? "")
    let json = "\(text)\(rest), \"items\": \(Self.items), \"max_length\": 8, \"seed\": 3}"
    let model = try makeModel(json: Data(json.utf8))
    if let features = (model as? any FeatureModel)?.features {
      (features[0] as? CategoryFeature)?.set(
        Histories((0..<Self.items).map { item in (0..<(item % 3)).map { Int32($0) } }))
      try randomFloats(2 * Self.items, seed: 4).withUnsafeBufferPointer {
        try (features[1] as? VectorFeature)?.set($0)
      }
    }
    return try #require(model as? any SequentialModel)
  }

  private func options() -> TrainingOptions {
    var options = TrainingOptions()
    (options.batchSize, options.adam.learningRate) = (32, 0.01)
    return options
  }

  @Test(arguments: models)
  func everyModelLearnsWhatFollows(_ text: String) throws {
    let model = try model(text, dropping: false)
    let histories = circle(items: Self.items, count: 300, lengths: 4...12)
    let trainer = try Trainer(model: model, histories: histories, options: options())
    let losses = try (0..<30).map { _ in try trainer.advance(seconds: 1e3, workers: 2).loss }
    #expect(losses[29] < 0.5 * losses[0], "\(losses)")
    let starts = (0..<Self.items).map { start in
      (0..<5).map { Int32((start + $0) % Self.items) }
    }
    let scores = Tensor(shape: [Self.items, Self.items])
    model.score(PackedBatch(starts), into: scores.matrix)
    for start in 0..<Self.items {
      let row = scores.block(rows: start..<(start + 1)).values
      // To CORE, nothing is as near to a history as its own items.
      let unseen = (0..<Self.items).filter { !starts[start].contains(Int32($0)) }
      #expect(unseen.max { row[$0] < row[$1] } == (start + 5) % Self.items)
    }
  }

  @Test(arguments: models)
  func equalSeedsGiveEqualBitsOnAnyNumberOfThreads(_ text: String) throws {
    let histories = circle(items: Self.items, count: 150, lengths: 4...12)
    var runs: [[[Float]]] = []
    for workers in [1, 2] {
      let model = try model(text, dropping: true)
      let trainer = try Trainer(model: model, histories: histories, options: options())
      for _ in 0..<2 { _ = try trainer.advance(seconds: 1e3, workers: workers) }
      runs.append(model.parameters().map(\.value.values))
    }
    for (one, two) in zip(runs[0], runs[1]) { expectSameBits(one, two, "weights") }
  }

  /// Histories are scored in groups, which padding makes small; some are empty.
  @Test(arguments: models)
  func rankersScoreGroupsAsTheModelDoes(_ text: String) throws {
    let model = try model(text, dropping: false)
    let rows = (0..<300).map { i in (0..<(i % 11)).map { Int32(($0 * 7 + i) % Self.items) } }
    var ranker = Ranker(model: model)
    ranker.fallback = (0..<Self.items).map { Float($0) }
    var scores = Array(repeating: Float.nan, count: rows.count * Self.items)
    ranker.score(Histories(rows), workers: 2, into: &scores)
    for (i, row) in rows.enumerated() {
      let alone = Tensor(ranker.fallback, shape: [1, Self.items])
      if !row.isEmpty {
        model.score(PackedBatch([Array(row.suffix(model.maximalLength))]), into: alone.matrix)
      }
      let found = Array(scores[(i * Self.items)..<((i + 1) * Self.items)])
      expectClose(found, alone.values.map { Double($0) }, .model, "scores after \(row)")
    }
  }

  /// CORE computes its table once a step; gradients must be those of one tape for everything.
  @Test(arguments: ["trm", "ave"])
  func aStepWithAComputedTableIsThatOfOneTape(variant: String) throws {
    let text = #"{"model": "core", "variant": "\#(variant)", "dim": 16, "inner_dim": 24"#
    let (model, twin) = (try model(text, dropping: false), try model(text, dropping: false))
    let histories = circle(items: Self.items, count: 90, lengths: 4...9)
    var options = options()
    options.batchSize = 1000
    // Constants added to all weights of items change nothing. Rounding is no gradient.
    options.adam.epsilon = 1e-3
    let trainer = try Trainer(model: model, histories: histories, options: options)
    let progress = try trainer.advance(seconds: 1e3, workers: 2)
    #expect(progress.steps == 1 && progress.isFinished)

    let rows = (0..<histories.count).map { Array(histories[$0]) }
    let targets = rows.flatMap { $0.dropFirst() }
    let tape = Tape()
    let pass = Pass(tape: tape)
    let causal = try #require(twin as? any CausalModel)
    let states = causal.encode(PackedBatch(rows.map { Array($0.dropLast()) }), on: pass)
    let loss = softmaxCrossEntropy(
      states, table: twin.scorer(on: pass).table, targets: targets,
      scale: 1 / Float(targets.count), on: pass)
    tape.backward(from: loss)
    expectClose([Float(progress.loss)], [Double(loss.values[0])], .loss, "loss")
    Adam(twin.parameters(), options.adam).step(tape.store, workers: 1)
    for (found, expected) in zip(model.parameters(), twin.parameters()) {
      expectClose(
        found.value.values, expected.value.values.map { Double($0) }, .modelStep, found.name)
    }
  }
}
