import Foundation
import Interactions
import Layers
import Models
import Testing
import Training
import _TestSupport

/// Whole training steps against the reference numbers.
@Suite struct ReferenceTrainingTests {
  private func trainer(_ c: ModelCase, _ model: SASRec) throws -> Trainer {
    var fields = try Fields(json: try JSONEncoder().encode(c.options), name: "options")
    let options = try TrainingOptions(&fields)
    try fields.finish()
    return try Trainer(model: model, histories: Histories(c.histories.rows), options: options)
  }

  private func expectWeights(
    _ model: SASRec, _ expected: [String: FixtureArray], _ label: String
  ) throws {
    for parameter in model.parameters() {
      let array = try #require(expected[parameter.name], "\(label): \(parameter.name)")
      expectClose(
        parameter.value, array,
        parameter.name.hasSuffix("attention.qkv.bias") ? .keyBiasStep : .modelStep,
        "\(label): \(parameter.name)")
    }
  }

  @Test(arguments: try Fixture.models())
  func threeStepsFollowTheReference(_ c: ModelCase) throws {
    let model = try c.model()
    let trainer = try trainer(c, model)
    let tokens = try c.trainingWindows().targets.count
    for (step, loss) in c.trace.losses.enumerated() {
      let progress = try trainer.advance(seconds: 1e3, workers: 2)
      expectClose(
        [Float(progress.loss)], [loss], .lossAfterSteps, "\(c.name): loss before step \(step)")
      #expect(progress.epoch == step + 1 && progress.step == 1 && progress.steps == 1)
      #expect(progress.tokens == tokens && progress.isFinished)
      if step == 0 { try expectWeights(model, c.afterOneStep, "\(c.name) after one step") }
    }
    try expectWeights(model, c.trace.parameters, "\(c.name) after three steps")
  }
}
