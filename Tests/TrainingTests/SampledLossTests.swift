import Autograd
import Foundation
import Interactions
import Models
import Testing
import Training
import _TestSupport

/// How the trainer sets up the losses that draw negatives.
@Suite struct SampledLossTests {
  private let histories = circle(items: 30, count: 40, lengths: 2...12)

  /// The loss of the first step: that of the initial weights.
  private func loss(_ change: (inout TrainingOptions) -> Void) throws -> Double {
    var options = TrainingOptions()
    options.negatives = 6
    change(&options)
    let trainer = try Trainer(
      model: smallModel(items: 30), histories: histories, options: options)
    return try trainer.advance(seconds: 0, workers: 2).loss
  }

  @Test func drawingEveryItemIsTheFullSoftmax() throws {
    let full = try loss { $0.loss = .softmax }
    for negatives in [30, 1000] {
      let sampled = try loss { ($0.loss, $0.negatives) = (.sampledSoftmax, negatives) }
      expectClose([Float(sampled)], [full], .loss, "\(negatives) negatives")
    }
  }

  @Test func calibrationWeighsTheTargetsLoss() throws {
    let model = smallModel(items: 30)
    let rows = (0..<histories.count).map { Array(histories[$0]) }
    let states = model.encode(PackedBatch(rows.map { Array($0.dropLast()) }), on: .inference)
    let targets = rows.flatMap { $0.dropFirst() }
    let items = gather(model.scorer(on: .inference).table, rows: targets, on: .inference)
    let positive = targets.indices.reduce(0.0) { sum, row in
      let score = (0..<16).reduce(0.0) {
        $0 + Double(states.values[16 * row + $1]) * Double(items.values[16 * row + $1])
      }
      return sum + log1p(exp(-score)) / Double(targets.count)
    }
    let plain = try loss { $0.loss = .bce }
    // The exponent is 1 - t (1 - a), where a is the share of the other items that is drawn.
    let share = 6.0 / 29
    for t in [0, 0.25, 1] {
      let found = try loss { ($0.loss, $0.gbceT) = (.gbce, t) }
      let expected = plain - t * (1 - share) * positive
      expectClose([Float(found)], [expected], .lossAfterSteps, "t = \(t)")
    }
    let everything = try loss { ($0.loss, $0.negatives, $0.gbceT) = (.gbce, 29, 1) }
    let plainEverything = try loss { ($0.loss, $0.negatives) = (.bce, 29) }
    #expect(everything == plainEverything)
  }
}
