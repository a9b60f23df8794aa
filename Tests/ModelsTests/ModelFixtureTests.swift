import Autograd
import Interactions
import Kernels
import Models
import Testing
import _TestSupport

/// Every model against its reference numbers: states, loss, the gradient of every parameter, and
/// scores.
@Suite struct ModelFixtureTests {
  /// The files under Tests/Fixtures, each of one kind of model.
  private static let files = [
    "bert4rec",
    "caser",
    "core",
    "fdsa",
    "fmrlrec",
    "gru4rec",
    "lrurec",
    "lrurec_nested",
    "mixer",
    "nextitnet",
    "nfm",
    "sasrec_linear",
    "sasrec_nested",
    "sasrec_plus",
    "sasrecf",
  ]

  private static func cases() throws -> [ReferenceCase] {
    try files.flatMap { try Fixture.references($0) }
  }

  @Test(arguments: try cases())
  func gradientsFollowTheReference(_ c: ReferenceCase) throws {
    let model = try c.model()
    let tape = Tape()
    let pass = Pass(tape: tape)
    let hidden = c.states(of: model, on: pass)
    expectClose(hidden, c.hidden, .model, "\(c.name): states")
    let scorer = model.scorer(on: pass)
    let loss = softmaxCrossEntropy(
      hidden, table: scorer.table, bias: scorer.bias, targets: c.examples.targets,
      widths: c.widths(of: model), scale: 1 / Float(c.examples.targets.count), on: pass)
    expectClose(loss.values, [c.loss], .loss, "\(c.name): loss")
    tape.backward(from: loss)
    let trained = model.parameters().filter { !$0.parameter.isFrozen }
    #expect(Set(trained.map(\.name)) == Set(c.gradients.keys))
    for parameter in trained {
      let expected = try #require(c.gradients[parameter.name])
      let found = tape.store[parameter.value]
      expectClose(
        found, expected, gradientTolerance(c), "\(c.name): gradient of \(parameter.name)")
    }
  }

  private func gradientTolerance(_ c: ReferenceCase) -> Tolerance {
    guard case .text(let attention)? = c.configuration["attention"] else { return .modelGradient }
    return attention.hasPrefix("linear") ? .linearModelGradient : .modelGradient
  }

  @Test(arguments: try cases())
  func scoresFollowTheReference(_ c: ReferenceCase) throws {
    let model = try c.model()
    let batch = c.newest(for: model)
    let scores = Tensor(shape: [batch.count, model.itemCount])
    model.score(batch, into: scores.matrix)
    expectClose(scores, c.scores, .model, "\(c.name): scores")
  }

  /// Through the model's own slices, and through prefixes of its states.
  @Test(arguments: try cases().filter { $0.sizeScores != nil })
  func theScoresOfEachWidthFollowTheReference(_ c: ReferenceCase) throws {
    let model = try #require(try c.model() as? any NestedModel)
    let batch = c.newest(for: model)
    let scorer = model.scorer(on: .inference)
    let states = model.encodeLast(batch, on: .inference)
    let sizes = try #require(model.sizes)
    #expect(Set(sizes.map(String.init)) == Set(try #require(c.sizeScores).keys))
    for size in sizes {
      let expected = try #require(c.sizeScores?[String(size)])
      let scores = Tensor(shape: [batch.count, model.itemCount])
      scorer.score(states.matrix, columns: 0..<size, into: scores.matrix)
      expectClose(scores, expected, .model, "\(c.name): scores at \(size)")
      try model.slice(size: size, keepsFeatures: false).score(batch, into: scores.matrix)
      expectClose(scores, expected, .model, "\(c.name): scores of the slice at \(size)")
    }
  }

  @Test(arguments: try cases())
  func theLastStatesAreThoseOfTraining(_ c: ReferenceCase) throws {
    let model = try c.model()
    // Batch norms take other moments in training.
    if model is NFM { return }
    let batch = c.newest(for: model)
    let trained = model.encodeLast(batch, on: Pass(tape: Tape()))
    let served = model.encodeLast(batch, on: .inference)
    #expect(served.shape == trained.shape)
    expectClose(
      served.values, trained.values.map { Double($0) }, .model, "\(c.name): last states")
  }

  @Test(arguments: try cases())
  func streamsFollowTheHistories(_ c: ReferenceCase) throws {
    guard let model = try c.model() as? any StreamingModel, let size = model.stateSize else {
      return
    }
    for row in c.histories.rows {
      let history = Array(row.suffix(model.maximalLength))
      let states = Tensor(shape: [1, size])
      states.matrix.zero()
      let all = model.encode(PackedBatch([history]), on: .inference)
      for (t, item) in history.enumerated() {
        let state = model.advance(states.matrix, by: [item])
        let expected = all.block(rows: t..<(t + 1)).values.map { Double($0) }
        expectClose(state.values, expected, .model, "\(c.name): state after \(t + 1) items")
      }
    }
  }
}
