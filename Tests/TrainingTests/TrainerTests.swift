import Interactions
import Kernels
import Layers
import Models
import Testing
import Training
import _TestSupport

@Suite struct TrainerTests {
  private let histories = circle(items: 40, count: 90, lengths: 2...30)

  /// Trains with all kinds of dropout and returns the losses of the epochs and the weights.
  private func train(
    workers: Int, seconds: Double = 1e3, _ change: (inout TrainingOptions) -> Void = { _ in }
  ) throws -> (losses: [Double], weights: [[Float]]) {
    let model = smallModel(items: 40) {
      ($0.dropout, $0.attentionDropout, $0.innerDropout) = (0.2, 0.1, 0.15)
    }
    var options = TrainingOptions()
    (options.batchSize, options.seed, options.negatives) = (64, 9, 8)
    change(&options)
    let trainer = try Trainer(model: model, histories: histories, options: options)
    var losses: [Double] = []
    while losses.count < 2 {
      let progress = try trainer.advance(seconds: seconds, workers: workers)
      if progress.isFinished { losses.append(progress.loss) }
    }
    return (losses, weights(model))
  }

  @Test(arguments: TrainingOptions.Loss.allCases, [false, true])
  func equalSeedsGiveEqualBitsOnAnyNumberOfThreads(
    loss: TrainingOptions.Loss, sparse: Bool
  ) throws {
    func run(_ workers: Int) throws -> (losses: [Double], weights: [[Float]]) {
      try train(workers: workers) { ($0.loss, $0.sparseGradients) = (loss, sparse) }
    }
    let alone = try run(1)
    for workers in [2, 3, 8] {
      let other = try run(workers)
      expectSameWeights(other.weights, alone.weights, "\(workers) workers")
      #expect(other.losses == alone.losses, "\(workers) workers")
    }
  }

  @Test func equalSeedsGiveEqualBitsHoweverTheTimeIsCut() throws {
    let whole = try train(workers: 2)
    let steps = try train(workers: 2, seconds: 0)
    expectSameWeights(steps.weights, whole.weights, "one step a call")
    #expect(steps.losses == whole.losses)
  }

  @Test func otherSeedsGiveOtherWeights() throws {
    let first = try train(workers: 1)
    #expect(try train(workers: 1) { $0.seed = 10 }.weights != first.weights)
    #expect(try train(workers: 1) { $0.firstEpoch = 1 }.weights != first.weights)
  }

  @Test func callsWithoutTimeTrainOneStep() throws {
    var options = TrainingOptions()
    options.batchSize = 40
    let trainer = try Trainer(
      model: smallModel(items: 40), histories: histories, options: options)
    for (step, epoch) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
      let progress = try trainer.advance(seconds: 0, workers: 1)
      #expect(progress.step == step && progress.epoch == epoch && progress.steps == 3)
      #expect(progress.isFinished == (step == 3))
    }
  }

  @Test func tokensAreThoseOfTheWindows() throws {
    var options = TrainingOptions()
    for crop in Crop.allCases {
      options.crop = crop
      let trainer = try Trainer(
        model: smallModel(items: 40), histories: histories, options: options)
      let progress = try trainer.advance(seconds: 1e3, workers: 1)
      let transitions = (0..<histories.count).reduce(0) { sum, row in
        let all = histories.range(row).count - 1
        return sum + (crop == .all ? all : min(all, 20))
      }
      #expect(progress.tokens == transitions, "\(crop)")
    }
  }

  @Test func negativesThatFillTheMemoryAreRefused() throws {
    let model = smallModel(items: 20) { $0.dim = 2048 }
    var options = TrainingOptions()
    (options.loss, options.negatives) = (.gbce, 1_000_000)
    let long = circle(items: 20, count: 100, lengths: 10...15)
    #expect(throws: OutOfMemory.self) {
      try Trainer(model: model, histories: long, options: options)
    }
    options.negatives = 100
    _ = try Trainer(model: model, histories: long, options: options)
  }

  @Test(arguments: [[], [[]], [[3], [], [5]]])
  func historiesWithoutATransitionAreRefused(rows: [[Int32]]) {
    #expect(
      throws: InvalidArgument("training needs a history of at least two items")
    ) {
      _ = try Trainer(
        model: smallModel(items: 40), histories: Histories(rows), options: TrainingOptions())
    }
  }

  @Test func frozenParametersStay() throws {
    let model = smallModel(items: 40)
    let parameters = model.parameters()
    let frozen = ["position_embedding", "blocks.0.attention.qkv.weight"]
    for parameter in parameters where frozen.contains(parameter.name) {
      parameter.parameter.isFrozen = true
    }
    let before = weights(model)
    let trainer = try Trainer(model: model, histories: histories, options: TrainingOptions())
    _ = try trainer.advance(seconds: 0, workers: 1)
    for (parameter, values) in zip(parameters, before) {
      #expect(
        (parameter.value.values == values) == frozen.contains(parameter.name), "\(parameter.name)")
    }
  }

  @Test func rowGradientsLearnWhatDenseOnesLearn() throws {
    // The first step is the same but for rows that no gradient reaches.
    for loss in [TrainingOptions.Loss.bce, .gbce, .sampledSoftmax] {
      func step(_ sparse: Bool) throws -> [[Float]] {
        let model = smallModel(items: 40)
        var options = TrainingOptions()
        (options.loss, options.sparseGradients, options.negatives) = (loss, sparse, 5)
        let trainer = try Trainer(model: model, histories: histories, options: options)
        _ = try trainer.advance(seconds: 0, workers: 2)
        return weights(model)
      }
      let (sparse, dense) = (try step(true), try step(false))
      for (a, b) in zip(sparse, dense) {
        expectClose(a, b.map { Double($0) }, .optimiser, "\(loss)")
      }
    }
  }
}
