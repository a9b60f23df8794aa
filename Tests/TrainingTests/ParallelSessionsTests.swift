import Autograd
import Interactions
import Models
import Testing
import _TestSupport

@testable import Training

/// Training on sessions side by side.
@Suite struct ParallelSessionsTests {
  private func model(items: Int, _ form: String = "recbole") throws -> GRU4Rec {
    let json = """
      {"model": "gru4rec", "items": \(items), "dim": 12, "hidden_dim": 16, "dropout": 0, \
      "form": "\(form)", "initial_std": 0.2, "seed": 3}
      """
    return try #require(try makeModel(json: .init(json.utf8)) as? GRU4Rec)
  }

  @Test func slotsTakeSessionsAsTheyAreFree() throws {
    let sessions = ParallelSessions(model: try model(items: 9), stateSize: 16, slots: 2)
    sessions.begin([0..<3, 3..<4, 4..<6, 6..<9])
    let found = sessions.steps.map { step in
      step.map { [$0.slot, $0.window.items.lowerBound, $0.isFirst ? 1 : 0] }
    }
    // The session of one item has nothing to predict; slot 1 is free after one step.
    #expect(found == [[[0, 0, 1], [1, 4, 1]], [[0, 1, 0], [1, 6, 1]], [[1, 7, 0]]])
  }

  @Test func statesGoOnAndBeginAnew() throws {
    let model = try model(items: 9)
    let sessions = ParallelSessions(model: model, stateSize: 16, slots: 2)
    let items: [Int32] = [3, 1, 4, 1, 5, 0, 2, 6, 5]
    sessions.begin([0..<3, 4..<6, 6..<9])
    var found: [Int: [Float]] = [:]
    for step in sessions.steps {
      let read = step.map { items[$0.window.items.lowerBound] }
      let states = sessions.encode(read, step, on: .inference)
      for (i, turn) in step.enumerated() {
        found[turn.window.items.lowerBound] = states.block(rows: i..<(i + 1)).values
      }
    }
    for (start, history) in [(0, [3, 1]), (4, [5]), (6, [2, 6])] as [(Int, [Int32])] {
      let expected = model.encode(PackedBatch([history]), on: .inference)
      for t in history.indices {
        let row = expected.block(rows: t..<(t + 1)).values.map { Double($0) }
        expectClose(try #require(found[start + t]), row, .model, "item \(start + t)")
      }
    }
  }

  /// One step of sessions of two items is a step on all of their positions.
  @Test(arguments: ["recbole", "tensorflow"])
  func aFirstStepIsThatOfPositions(_ form: String) throws {
    let histories = circle(items: 30, count: 24, lengths: 2...2)
    let losses = try [TrainingOptions.Samples.sessions, .positions].map { samples in
      var options = TrainingOptions()
      (options.samples, options.batchSize) = (samples, 24)
      let trainer = try Trainer(
        model: try model(items: 30, form), histories: histories, options: options)
      return try (0..<3).map { _ in try trainer.advance(seconds: 60, workers: 2).loss }
    }
    expectClose(losses[0].map { Float($0) }, losses[1], .lossAfterSteps, form)
  }

  @Test(arguments: ["bpr_max", "top1", "sampled_softmax"], ["recbole", "tensorflow"])
  func sessionsLearn(_ loss: String, _ form: String) throws {
    var options = TrainingOptions()
    options.samples = .sessions
    options.loss = try #require(TrainingOptions.Loss(rawValue: loss))
    (options.negatives, options.batchSize) = (8, 10)
    options.adam.learningRate = 0.01
    let model = try model(items: 30, form)
    let trainer = try Trainer(
      model: model, histories: circle(items: 30, count: 60, lengths: 5...12), options: options)
    let losses = try (0..<30).map { _ in
      let progress = try trainer.advance(seconds: 60, workers: 2)
      #expect(progress.isFinished && progress.step == progress.steps)
      return progress.loss
    }
    #expect(losses[29] < 0.8 * losses[0])
    let scores = Tensor(shape: [1, 30])
    model.score(PackedBatch([[3, 4, 5, 6]]), into: scores.matrix)
    let above = (0..<30).filter { !(3...6).contains($0) && scores.values[$0] > scores.values[7] }
    #expect(above.count < 5, "of 26 items")
  }

  @Test func modelsWithoutSuchStepsRefuse() {
    var options = TrainingOptions()
    options.samples = .sessions
    #expect(throws: InvalidArgument.self) {
      try Trainer(
        model: smallModel(items: 9), histories: circle(items: 9, count: 4, lengths: 3...4),
        options: options)
    }
  }
}
