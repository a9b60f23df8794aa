import Autograd
import Interactions
import Models
import Synchronization
import Testing
import _TestSupport

@testable import Training

/// What a step trains on: positions, prefixes and gaps.
@Suite struct SamplesTests {
  private let histories = Histories([[3, 1, 4, 1, 5], [9], [2, 6]])

  private struct Filler: MaskedModel {
    let model: SASRec
    var maskItem: Int32 { Int32(model.itemCount) }
    var itemCount: Int { model.itemCount }
    var maximalLength: Int { model.maximalLength }
    var configurationJSON: String { model.configurationJSON }
    func scorer(on pass: Pass) -> Scorer { model.scorer(on: pass) }
    func encodeLast(_ batch: PackedBatch, on pass: Pass) -> Tensor {
      model.encodeLast(batch, on: pass)
    }
    func encodeMasked(_ batch: PackedBatch, on pass: Pass) -> Tensor {
      model.encode(batch, on: pass)
    }
    func cost(length: Int) -> Cost { model.cost(length: length) }
  }

  private func sampling(
    _ model: any SequentialModel = smallModel(items: 10) { $0.maxLength = 3 },
    _ change: (inout TrainingOptions) -> Void = { _ in }
  ) throws -> Sampling {
    var options = TrainingOptions()
    change(&options)
    return try Sampling(options, model: model, histories: histories)
  }

  private func examples(_ sampling: Sampling, step: UInt64 = 0) -> [Examples] {
    var generator = CounterGenerator(seed: 1, step: step, purpose: 0)
    let windows = sampling.epoch(using: &generator)[0]
    let samples = sampling.samples(of: windows, step: 0, using: &generator)
      .sorted { $0.window.items.upperBound < $1.window.items.upperBound }
    let examples = samples.map { sampling.examples([$0]) }
    for (sample, example) in zip(samples, examples) {
      #expect(sample.positions == example.targets.count)
      #expect(sample.tokens == example.batch.tokens)
    }
    return examples
  }

  @Test func positionsPredictTheNextItem() throws {
    let found = examples(try sampling())
    #expect(found.map(\.batch.items) == [[1, 4, 1], [2]])
    #expect(found.map(\.targets) == [[4, 1, 5], [6]])
    #expect(found.allSatisfy { $0.rows == nil })
  }

  /// Of a history that begins inside the window the first item is predicted too, from a history of
  /// its own that holds nothing.
  @Test func firstItemsArePredictedFromNothing() throws {
    var c = FMRLRec.Configuration(items: 10)
    (c.sizes, c.blocks, c.maxLength) = ([4], 1, 3)
    let found = examples(try sampling(FMRLRec(c)))
    #expect(found.map(\.batch.items) == [[1, 4, 1], [2, 10]])
    #expect(found.map(\.batch.offsets) == [[0, 3], [0, 1, 2]])
    #expect(found.map(\.targets) == [[4, 1, 5], [6, 2]])
    // As long as the model reads, and one longer: then nothing is padding.
    c.maxLength = 5
    #expect(examples(try sampling(FMRLRec(c))).map(\.targets) == [[1, 4, 1, 5, 3], [6, 2]])
    c.maxLength = 4
    #expect(examples(try sampling(FMRLRec(c))).map(\.targets) == [[1, 4, 1, 5], [6, 2]])
    c.maxLength = 3
    c.firstItem = false
    #expect(examples(try sampling(FMRLRec(c))).map(\.targets) == [[4, 1, 5], [6]])
  }

  @Test func severalTargetsEndWithTheHistory() throws {
    let found = examples(try sampling { $0.targets = 2 })
    #expect(found.map(\.rows) == [[0, 0, 1, 1, 2], [0]])
    #expect(found.map(\.targets) == [[4, 1, 1, 5, 5], [6]])
  }

  @Test func prefixesPredictTheirNextItem() throws {
    let found = examples(try sampling { $0.samples = .prefixes })
    #expect(found.map(\.batch.items) == [[3], [3, 1], [3, 1, 4], [1, 4, 1], [2]])
    #expect(found.map(\.targets) == [[1], [4], [1], [5], [6]])
  }

  @Test func prefixesCountWithTheTokensThatAModelPads() throws {
    var c = MLPMixer.Configuration(items: 10)
    c.maxLength = 3
    let sampling = try sampling(MLPMixer(c))
    var generator = CounterGenerator(seed: 1, step: 0, purpose: 0)
    let samples = sampling.samples(
      of: sampling.epoch(using: &generator)[0], step: 0, using: &generator
    ).sorted { $0.window.items.upperBound < $1.window.items.upperBound }
    #expect(samples.map(\.tokens) == Array(repeating: 3, count: 5))
    #expect(samples.map { sampling.examples([$0]).batch.tokens } == [1, 2, 3, 3, 1])
  }

  @Test func gapsHideWhatTheyAskFor() throws {
    let model = Filler(model: smallModel(items: 10) { $0.maxLength = 3 })
    let sampling = try sampling(model) { ($0.maskRatio, $0.lastRatio) = (0.5, 0.5) }
    let rows: [[Int32]] = [[1, 4, 1, 5], [2, 6]]
    var (last, other) = (0, 0)
    for step in 0..<40 {
      let found = examples(sampling, step: UInt64(step))
      #expect(found.count == 2)
      for (row, example) in zip(rows, found) {
        let hidden = try #require(example.rows).map { Int($0) }
        #expect(hidden == hidden.sorted() && Set(hidden).count == hidden.count)
        #expect(hidden.count == 1, "at most half of three items")
        #expect(example.targets == hidden.map { row[$0] })
        #expect(
          example.batch.items == row.indices.map { hidden.contains($0) ? 10 : row[$0] })
      }
      if found.allSatisfy({ $0.rows == [Int32($0.batch.tokens - 1)] }) {
        last += 1
      } else {
        other += 1
      }
    }
    #expect(last > 10 && other > 5)
  }

  @Test func gapsOfPrefixesAreThoseOfRecommendations() throws {
    let model = Filler(model: smallModel(items: 10) { $0.maxLength = 3 })
    let last = examples(try sampling(model) { ($0.samples, $0.lastRatio) = (.prefixes, 1) })
    #expect(
      last.map(\.batch.items)
        == [[3, 10], [3, 1, 10], [3, 1, 4, 10], [1, 4, 1, 10], [2, 10]])
    #expect(last.map(\.targets) == [[1], [4], [1], [5], [6]])
    #expect(last.map(\.rows) == [[1], [2], [3], [3], [1]])
    let sampling = try sampling(model) {
      ($0.samples, $0.lastRatio, $0.maskRatio) = (.prefixes, 0, 0.5)
    }
    let found = (0..<10).map { examples(sampling, step: $0) }
    #expect(found.allSatisfy { $0.count == 5 })
    #expect(found.contains { $0.contains { $0.rows != [Int32($0.batch.tokens - 1)] } })
  }

  /// What a state has read is what the margin is for.
  @Test func statesKnowWhatTheyHaveRead() throws {
    func seen(_ sampling: Sampling) -> [[[Int32]]] {
      examples(sampling).map { example in
        sampling.seen(example).map { Array(example.batch.items[$0]) }
      }
    }
    #expect(seen(try sampling()) == [[[1], [1, 4], [1, 4, 1]], [[2]]])
    #expect(
      seen(try sampling { $0.targets = 2 })
        == [[[1], [1], [1, 4], [1, 4], [1, 4, 1]], [[2]]])
    #expect(
      seen(try sampling { $0.samples = .prefixes })
        == [[[3]], [[3, 1]], [[3, 1, 4]], [[1, 4, 1]], [[2]]])
    let filler = Filler(model: smallModel(items: 10) { $0.maxLength = 3 })
    #expect(seen(try sampling(filler) { $0.lastRatio = 1 }) == [[[1, 4, 1, 10]], [[2, 10]]])
    var c = FMRLRec.Configuration(items: 10)
    (c.sizes, c.blocks, c.maxLength) = ([4], 1, 3)
    #expect(seen(try sampling(FMRLRec(c))) == [[[1], [1, 4], [1, 4, 1]], [[2], [10]]])
  }

  @Test func modelsRefuseWhatTheyCannotDo() throws {
    let filler = Filler(model: smallModel(items: 10))
    #expect(throws: InvalidArgument.self) { try sampling(filler) { $0.samples = .positions } }
    #expect(throws: InvalidArgument.self) { try sampling { $0.samples = .cloze } }
    #expect(throws: InvalidArgument.self) {
      try sampling {
        $0.samples = .prefixes
        $0.targets = 2
      }
    }
  }

  /// Without dropout and in one step, all prefixes of histories are all of their positions.
  @Test func prefixesOfShortHistoriesAreTheirPositions() throws {
    let histories = circle(items: 30, count: 40, lengths: 2...12)
    let losses = try [TrainingOptions.Samples.positions, .prefixes].map { samples in
      var options = TrainingOptions()
      (options.samples, options.batchSize) = (samples, 100_000)
      let model = smallModel(items: 30)
      let trainer = try Trainer(model: model, histories: histories, options: options)
      let first = try trainer.advance(seconds: 60, workers: 2)
      #expect(first.isFinished && first.steps == 1)
      return [first.loss, try trainer.advance(seconds: 60, workers: 2).loss]
    }
    expectClose(losses[0].map { Float($0) }, losses[1], .lossAfterSteps, "positions, prefixes")
  }

  @Test(arguments: ["bpr", "bpr_max", "top1", "sampled_softmax"])
  func everySampledLossLearns(_ name: String) throws {
    let loss = try #require(TrainingOptions.Loss(rawValue: name))
    var options = TrainingOptions()
    (options.loss, options.negatives, options.batchSize) = (loss, 12, 16)
    options.adam.learningRate = 0.02
    let histories = circle(items: 30, count: 60, lengths: 5...12)
    let model = smallModel(items: 30)
    let trainer = try Trainer(model: model, histories: histories, options: options)
    for _ in 0..<30 { _ = try trainer.advance(seconds: 60, workers: 2) }
    let scores = Tensor(shape: [1, 30])
    model.score(PackedBatch([[3, 4, 5, 6]]), into: scores.matrix)
    let unseen = (0..<30).filter { !(3...6).contains($0) }
    #expect(unseen.max { scores.values[$0] < scores.values[$1] } == 7)
  }

  /// A step that is left in its middle goes on where it was, with the same bits.
  @Test func stepsMayBeInterrupted() throws {
    let histories = circle(items: 40, count: 300, lengths: 10...20)
    let runs = try [1e-9, 60].map { seconds in
      let model = smallModel(items: 40)
      let trainer = try Trainer(model: model, histories: histories, options: TrainingOptions())
      var calls = 0
      while !(try trainer.advance(seconds: seconds, workers: 2).isFinished) { calls += 1 }
      return (calls, weights(model))
    }
    #expect(runs[0].0 > 6 && runs[1].0 == 0, "three steps of two or four lists each")
    expectSameWeights(runs[0].1, runs[1].1, "interrupted")
  }
}
