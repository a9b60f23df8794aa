import Foundation
import Interactions
import Layers
import Models
import Testing
import Training
import _TestSupport

@Suite struct ScheduleTests {
  private let histories = circle(items: 20, count: 40, lengths: 5...10)

  /// How far the item embeddings move in each step.
  ///
  /// The learning rate is so small that all schedules meet the same gradients.
  private func moves(steps: Int, _ change: (inout TrainingOptions) -> Void) throws -> [Double] {
    let model = smallModel(items: 20)
    let table = try #require(model.parameters().first).value
    var options = TrainingOptions()
    options.batchSize = 10  // four steps an epoch
    options.adam.learningRate = 1e-5
    options.totalEpochs = 2
    change(&options)
    let trainer = try Trainer(model: model, histories: histories, options: options)
    return try (0..<steps).map { _ in
      let before = table.values
      _ = try trainer.advance(seconds: 0, workers: 1)
      return zip(table.values, before).reduce(0) { $0 + Double(abs($1.0 - $1.1)) }
    }
  }

  private func check(
    _ expected: [Double], _ label: String, _ change: (inout TrainingOptions) -> Void
  ) throws {
    let constant = try moves(steps: expected.count) { _ in }
    let found = try moves(steps: expected.count, change)
    let rates = zip(found, constant).map { Float($0 / $1) }
    expectClose(rates, expected, .rateOfASchedule, label)
  }

  @Test func linearFallsInALineToZero() throws {
    let expected = (0..<10).map { max(0, 1 - Double($0) / 8) }
    try check(expected, "linear") { $0.schedule = .linear }
  }

  @Test func cosineFallsAlongHalfACosine() throws {
    let expected = (0..<10).map { $0 < 8 ? (1 + cos(Double.pi * Double($0) / 8)) / 2 : 0 }
    try check(expected, "cosine") { $0.schedule = .cosine }
  }

  @Test func warmUpRisesInALine() throws {
    try check([0.25, 0.5, 0.75, 1, 1, 1], "constant") { $0.warmupSteps = 4 }
    let falling = (0..<6).map { max(0, 1 - Double($0) / 4) }
    try check([0.25, 0.5, 0.75, 1] + falling, "linear") {
      ($0.warmupSteps, $0.schedule) = (4, .linear)
    }
  }

  @Test func warmUpMayBeLongerThanTraining() throws {
    try check([0.001, 0.002, 0.003], "linear") { ($0.warmupSteps, $0.schedule) = (1000, .linear) }
  }
}
