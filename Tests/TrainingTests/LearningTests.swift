import Interactions
import Kernels
import Layers
import Models
import Testing
import Training
import _TestSupport

/// Training on a planted rule finds it.
@Suite struct LearningTests {
  private static let items = 20

  struct Setting: Sendable, CustomTestStringConvertible {
    let loss: TrainingOptions.Loss
    var sampler = NegativeSampler.Distribution.uniform
    var crop = Crop.last
    var norm = SASRec.Norm.pre
    var isSparse = false
    var precision = Precision.float32

    var testDescription: String {
      "\(loss), \(sampler), \(crop), \(norm), sparse \(isSparse), \(precision)"
    }
  }

  @Test(
    arguments: [
      Setting(loss: .softmax), Setting(loss: .softmax, crop: .all, norm: .post),
      Setting(loss: .softmax, crop: .random, norm: .query), Setting(loss: .sampledSoftmax),
      Setting(loss: .sampledSoftmax, sampler: .logUniform, isSparse: true),
      Setting(loss: .sampledSoftmax, sampler: .popularity), Setting(loss: .bce),
      Setting(loss: .bce, sampler: .popularity, isSparse: true), Setting(loss: .gbce),
      Setting(loss: .gbce, sampler: .logUniform, norm: .post),
      Setting(loss: .softmax, precision: .bfloat16),
      Setting(loss: .sampledSoftmax, precision: .bfloat16),
    ])
  func everyLossLearnsWhatFollows(_ setting: Setting) throws {
    let model = smallModel(items: Self.items) { ($0.maxLength, $0.norm) = (8, setting.norm) }
    var options = TrainingOptions()
    (options.loss, options.sampler, options.crop) = (setting.loss, setting.sampler, setting.crop)
    (options.sparseGradients, options.negatives) = (setting.isSparse, 6)
    options.precision = setting.precision
    (options.batchSize, options.adam.learningRate) = (32, 0.01)
    let histories = circle(items: Self.items, count: 200, lengths: 4...15)
    let trainer = try Trainer(model: model, histories: histories, options: options)
    let losses = try (0..<20).map { _ in try trainer.advance(seconds: 1e3, workers: 2).loss }
    #expect(losses[19] < 0.5 * losses[0], "\(losses)")

    let ranker = Ranker(model: model)
    let starts = (0..<Self.items).map { start in
      (0..<5).map { Int32((start + $0) % Self.items) }
    }
    var best = Array(repeating: Int32(-1), count: Self.items)
    var scores = Array(repeating: Float(0), count: Self.items)
    ranker.recommend(
      Histories(starts), excluded: nil, allowed: nil, k: 1, workers: 2, items: &best,
      scores: &scores)
    #expect(best == (0..<Self.items).map { Int32(($0 + 5) % Self.items) })
  }
}
