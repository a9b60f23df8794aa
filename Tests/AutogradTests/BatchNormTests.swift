import Autograd
import Testing
import _TestSupport

@Suite struct BatchNormTests {
  private let epsilon = 1e-2

  /// The mean and the biased variance of each of `columns` columns.
  private func moments(_ x: [Double], _ columns: Int) -> [(mean: Double, variance: Double)] {
    let rows = Double(x.count / columns)
    return (0..<columns).map { c in
      let column = stride(from: c, to: x.count, by: columns).map { x[$0] }
      let mean = column.reduce(0, +) / rows
      return (mean, column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / rows)
    }
  }

  @Test(arguments: [[1, 3], [2, 1], [7, 17], [40, 5]])
  func columnsAreNormalised(shape: [Int]) {
    let columns = shape[1]
    expectFollows(
      "batchNorm", inputs: [shape, [columns], [columns]], seed: 520, .batchNorm,
      reference: { x in
        let moments = moments(x[0], columns)
        return x[0].indices.map { i in
          let (mean, variance) = moments[i % columns]
          return (x[0][i] - mean) / (variance + epsilon).squareRoot() * x[1][i % columns]
            + x[2][i % columns]
        }
      },
      op: { x, pass in
        batchNorm(
          x[0], ColumnMoments(of: x[0]), weight: x[1], bias: x[2], epsilon: Float(epsilon),
          on: pass)
      })
  }

  @Test func givenMomentsTakeThePlaceOfTheRows() {
    let x = randomLeaf(shape: [1, 3], seed: 530)
    let moments = ColumnMoments(
      mean: Tensor([1, -2, 0], shape: [3]), variance: Tensor([4, 0.25, 1], shape: [3]))
    let (weight, bias) = (Tensor([3, 1, 2], shape: [3]), Tensor([0, 1, -1], shape: [3]))
    let y = batchNorm(x, moments, weight: weight, bias: bias, epsilon: 0, on: .inference)
    let v = x.values.map { Double($0) }
    expectClose(
      y.values, [(v[0] - 1) / 2 * 3, (v[1] + 2) * 2 + 1, v[2] * 2 - 1], .rounding, "batchNorm")
  }

  @Test func observationsAreMeansByWeightOverAllStores() throws {
    let tensor = Tensor(shape: [2])
    let stores = (0..<3).map { _ in GradientStore() }
    #expect(stores[0].observed(for: tensor) == nil)
    stores[0].observe(Tensor([1, 0], shape: [2]), weight: 1, for: tensor)
    stores[1].observe(Tensor([4, 8], shape: [2]), weight: 2, for: tensor)
    stores[1].observe(Tensor([0, 4], shape: [2]), weight: 1, for: tensor)
    func expectMean(_ store: GradientStore, _ expected: [Double]) throws {
      let mean = try #require(store.observed(for: tensor))
      expectClose(mean.values, expected, .rounding, "mean")
    }
    try expectMean(stores[1], [8 / 3.0, 20 / 3.0])
    stores[0].merge(Array(stores[1...]), of: [tensor], workers: 1)
    try expectMean(stores[0], [9 / 4.0, 5])
    #expect(stores[0][tensor] == nil, "observations are no gradients")
    stores[0].removeAll()
    #expect(stores[0].observed(for: tensor) == nil)
  }

  @Test(arguments: [1, 2, 4, 100])
  func pairsOfTheNewestRowsAreSummed(length: Int) {
    let (offsets, columns) = ([0, 1, 7, 7, 9], 19)
    expectFollows(
      "biInteraction", inputs: [[9, columns]], seed: 540, .biInteraction,
      reference: { x in
        (0..<9).flatMap { r in
          (0..<columns).map { c in
            let start = offsets.last { $0 <= r } ?? 0
            let bag = (max(start, r - length + 1)...r).map { x[0][$0 * columns + c] }
            let sum = bag.reduce(0, +)
            return 0.5 * (sum * sum - bag.reduce(0) { $0 + $1 * $1 })
          }
        }
      },
      op: { x, pass in biInteraction(x[0], length: length, offsets: offsets, on: pass) })
  }

  @Test func aSingleRowHasNoPairs() {
    let x = Tensor([1e10, 3.7, -0.1], shape: [1, 3])
    #expect(
      biInteraction(x, length: 5, offsets: [0, 1], on: .inference).values == [0, 0, 0])
  }
}
