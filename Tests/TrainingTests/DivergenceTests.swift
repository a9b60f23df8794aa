import Interactions
import Layers
import Models
import Testing
import Training
import _TestSupport

@Suite struct DivergenceTests {
  private let histories = circle(items: 20, count: 30, lengths: 2...10)

  private func message(_ trainer: Trainer) -> String? {
    do {
      _ = try trainer.advance(seconds: 0, workers: 2)
      return nil
    } catch {
      return (error as? Diverged)?.message ?? "\(error)"
    }
  }

  @Test(arguments: [Float.infinity, -.infinity, .nan])
  func aWeightThatIsNotFiniteIsNamed(bad: Float) throws {
    for name in ["item_embedding", "blocks.0.feed_forward.expand.bias", "final_norm.weight"] {
      let model = smallModel(items: 20)
      let trainer = try Trainer(model: model, histories: histories, options: TrainingOptions())
      let parameter = try #require(model.parameters().first { $0.name == name })
      parameter.value.pointer[parameter.value.count - 1] = bad
      let before = weights(model)
      #expect(message(trainer) == "\(name) is not finite at step 1 of epoch 1")
      expectSameWeights(weights(model), before, name)
    }
  }

  @Test(arguments: TrainingOptions.Loss.allCases)
  func gradientsThatOverflowLeaveTheWeights(loss: TrainingOptions.Loss) throws {
    let model = smallModel(items: 20)
    for parameter in model.parameters() where parameter.name == "item_embedding" {
      parameter.parameter.fill(3e38)
    }
    var options = TrainingOptions()
    (options.loss, options.negatives) = (loss, 4)
    let trainer = try Trainer(model: model, histories: histories, options: options)
    let before = weights(model)
    let found = try #require(message(trainer))
    #expect(found.hasSuffix("at step 1 of epoch 1") || found.contains("at step 1 of epoch 1, loss"))
    expectSameWeights(weights(model), before, "after the error")
  }

  @Test(arguments: TrainingOptions.Loss.allCases, [1e20, 1e30, 1e300])
  func hugeLearningRatesEndInDiverged(loss: TrainingOptions.Loss, rate: Double) throws {
    let model = smallModel(items: 20)
    var options = TrainingOptions()
    (options.loss, options.negatives, options.batchSize) = (loss, 4, 8)
    options.adam.learningRate = rate
    let trainer = try Trainer(model: model, histories: histories, options: options)
    var found: String?
    for _ in 0..<200 where found == nil {
      let before = weights(model)
      found = message(trainer)
      if found != nil { expectSameWeights(weights(model), before, "the step that failed") }
    }
    #expect(found?.contains(" at step ") == true)
  }

  @Test func trainingGoesOnWhereTheWeightIsMended() throws {
    let model = smallModel(items: 20)
    let trainer = try Trainer(model: model, histories: histories, options: TrainingOptions())
    let parameter = try #require(model.parameters().first)
    let good = parameter.value.pointer[0]
    parameter.value.pointer[0] = .infinity
    #expect(message(trainer) != nil)
    parameter.value.pointer[0] = good
    let progress = try trainer.advance(seconds: 0, workers: 2)
    #expect(progress.step == 1 && progress.epoch == 1)
    // The failed step left nothing behind: neither gradients nor moments nor a count of steps.
    let fresh = smallModel(items: 20)
    let other = try Trainer(model: fresh, histories: histories, options: TrainingOptions())
    let expected = try other.advance(seconds: 0, workers: 2)
    expectSameWeights(weights(model), weights(fresh), "after a failed step")
    #expect(progress == expected)
  }
}
