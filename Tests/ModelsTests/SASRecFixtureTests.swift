import Autograd
import Interactions
import Kernels
import Models
import Testing
import _TestSupport

/// SASRec against its reference numbers: states, scores, and the gradient of every parameter.
@Suite struct SASRecFixtureTests {
  @Test(arguments: try Fixture.models())
  func statesFollowTheReference(_ c: ModelCase) throws {
    let batch = PackedBatch(try c.trainingWindows().inputs)
    let hidden = try c.model().encode(batch, on: .inference)
    expectClose(hidden, c.hidden, .model, "\(c.name): states")
  }

  @Test(arguments: try Fixture.models())
  func scoresFollowTheReference(_ c: ModelCase) throws {
    let model = try c.model()
    let rows = c.histories.rows.map { Array($0.suffix(model.maximalLength)) }
    let scores = Tensor(shape: [rows.count, model.itemCount])
    model.score(PackedBatch(rows), into: scores.matrix)
    expectClose(scores, c.scores, .model, "\(c.name): scores")
  }

  @Test(arguments: try Fixture.models())
  func gradientsFollowTheReference(_ c: ModelCase) throws {
    let model = try c.model()
    let (inputs, targets) = try c.trainingWindows()
    let tape = Tape()
    let pass = Pass(tape: tape)
    let batch = PackedBatch(inputs)
    let hidden = model.encode(batch, on: pass)
    let starts = zip(batch.offsets, batch.offsets.dropFirst()).flatMap { start, end in
      Array(repeating: start, count: end - start)
    }
    let seen = SeenItems(
      margin: Float(try c.number("seen_margin")), items: batch.items,
      itemCount: model.itemCount, ranges: starts.enumerated().map { $1..<($0 + 1) })
    let loss = softmaxCrossEntropy(
      hidden, table: model.scorer(on: .inference).table, targets: targets,
      smoothing: Float(try c.number("label_smoothing")), seen: seen,
      scale: 1 / Float(targets.count), on: pass)
    expectClose(loss.values, [c.loss], .loss, "\(c.name): loss")
    tape.backward(from: loss)
    let parameters = model.parameters()
    #expect(Set(parameters.map(\.name)) == Set(c.gradients.keys))
    for parameter in parameters {
      let expected = try #require(c.gradients[parameter.name])
      let found = tape.store[parameter.value]
      expectClose(found, expected, .modelGradient, "\(c.name): gradient of \(parameter.name)")
    }
  }

  @Test(arguments: try Fixture.models())
  func theLastStatesAreThoseOfAllStates(_ c: ModelCase) throws {
    let model = try c.model()
    let batch = PackedBatch(c.histories.rows.map { Array($0.suffix(model.maximalLength)) })
    let all = model.encode(batch, on: .inference)
    let last = model.encodeLast(batch, on: .inference)
    #expect(last.shape == [batch.count, all.columns])
    let expected = gather(all, rows: batch.lastTokens, on: .inference)
    expectClose(
      last.values, expected.values.map { Double($0) }, .model, "\(c.name): last states")
  }
}
