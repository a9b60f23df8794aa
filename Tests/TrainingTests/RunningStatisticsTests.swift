import Autograd
import Interactions
import Layers
import Models
import Testing
import Training
import _TestSupport

@Suite struct RunningStatisticsTests {
  private func model() -> NFM {
    var c = NFM.Configuration(items: 20)
    (c.dim, c.dropout, c.hiddenDropout, c.maxLength, c.initialStd) = (8, 0, 0, 8, 0.5)
    return NFM(c)
  }

  private func statistics(_ model: NFM) -> [NamedParameter] {
    model.parameters().filter(\.parameter.isFrozen)
  }

  /// One step over few histories, which are one group.
  @Test func aStepMovesThemToThoseOfItsRows() throws {
    let (model, twin) = (model(), model())
    let histories = circle(items: 20, count: 20, lengths: 4...9)
    var options = TrainingOptions()
    options.batchSize = 1000
    let trainer = try Trainer(model: model, histories: histories, options: options)
    #expect(try trainer.advance(seconds: 1e3, workers: 2).steps == 1)

    let rows = (0..<histories.count).map { Array(histories[$0].dropLast()) }
    let store = GradientStore()
    _ = twin.encode(PackedBatch(rows), on: Pass(tape: Tape(store: store)))
    store.moveRunningStatistics(twin.parameters())
    for (found, expected) in zip(statistics(model), statistics(twin)) {
      let start: Float = found.name.hasSuffix("mean") ? 0 : 1
      #expect(found.value.values.allSatisfy { $0 != start }, "\(found.name) moves")
      expectClose(
        found.value.values, expected.value.values.map { Double($0) }, .batchNorm, found.name)
    }
  }

  /// Several groups count by their rows, on any number of threads.
  @Test func groupsAreAveragedInOrder() throws {
    let histories = circle(items: 20, count: 400, lengths: 4...9)
    var options = TrainingOptions()
    options.batchSize = 1000
    let runs = try [1, 2, 5].map { workers in
      let model = model()
      let trainer = try Trainer(model: model, histories: histories, options: options)
      #expect(try trainer.advance(seconds: 1e3, workers: workers).steps == 1)
      return statistics(model).map(\.value.values)
    }
    #expect(runs[0] == runs[1] && runs[0] == runs[2])
    // The mean of the first norm's input is that of all rows, however they are divided.
    let rows = (0..<histories.count).map { Array(histories[$0].dropLast()) }
    let store = GradientStore()
    let twin = model()
    _ = twin.encode(PackedBatch(rows), on: Pass(tape: Tape(store: store)))
    let mean = try #require(statistics(twin).first)
    let expected = try #require(store.observed(for: mean.value)).values.map { 0.1 * Double($0) }
    expectClose(runs[0][0], expected, .batchNorm, mean.name)
  }
}
