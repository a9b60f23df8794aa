import Autograd
import Layers
import Testing
import _TestSupport

@Suite struct BatchNormLayerTests {
  private func parameter(_ norm: BatchNorm, _ name: String) throws -> Parameter {
    try #require(norm.parameters().first { $0.name == name }).parameter
  }

  @Test func runningStatisticsAreParametersThatNobodyTrains() throws {
    let norm = BatchNorm(3)
    #expect(norm.parameters().map(\.name) == ["weight", "bias", "mean", "variance"])
    #expect(norm.parameters().map(\.parameter.isFrozen) == [false, false, true, true])
    #expect(try parameter(norm, "mean").value.values == [0, 0, 0])
    #expect(try parameter(norm, "variance").value.values == [1, 1, 1])
  }

  @Test func statisticsOfTrainingAreFollowed() throws {
    let norm = BatchNorm(2)
    let (mean, variance) = (try parameter(norm, "mean"), try parameter(norm, "variance"))
    mean.set([10, -10])
    variance.set([2, 4])
    let x = Tensor([1, 5, 3, 5, 5, -1], shape: [3, 2])
    let store = GradientStore()
    let trained = norm(x, on: Pass(tape: Tape(store: store)))
    // Columns (1, 3, 5) and (5, 5, -1): means 3 and 3, sums of squares 8 and 24, unbiased / 2.
    expectClose(
      trained.values,
      [-2, 2, 0, 2, 2, -4].enumerated().map { i, d in
        d / ((i % 2 == 0 ? 8.0 : 24) / 3 + 1e-5).squareRoot()
      }, .batchNorm, "training")
    #expect(mean.value.values == [10, -10], "only a step moves them")
    store.moveRunningStatistics(norm.parameters())
    expectClose(mean.value.values, [9.3, -8.7], .rounding, "mean")
    expectClose(variance.value.values, [2.2, 4.8], .rounding, "variance")
    let served = norm(x, on: .inference)
    expectClose(
      served.values,
      x.values.enumerated().map { i, v in
        (Double(v) - [9.3, -8.7][i % 2]) / ([2.2, 4.8][i % 2] + 1e-5).squareRoot()
      }, .batchNorm, "inference")
  }

  @Test func oneRowHasNoVariance() throws {
    let norm = BatchNorm(1)
    let store = GradientStore()
    let y = norm(Tensor([7], shape: [1, 1]), on: Pass(tape: Tape(store: store)))
    #expect(y.values == [0])
    store.moveRunningStatistics(norm.parameters())
    expectClose(try parameter(norm, "variance").value.values, [0.9], .rounding, "variance")
  }
}
