import Kernels
import Testing
import _TestSupport

@Suite struct NestedCrossEntropyTests {
  private struct Result {
    var loss: Double
    var dHidden: [Float]
    var dTable: [Float]
    var dBias: [Float]
  }

  private let dim = 12
  private let items = 75
  private let sizes = [4, 7, 12]
  private let weights: [Float] = [0.5, 0, 1.5]

  private func columns(_ x: Guarded, _ count: Int) -> Matrix {
    Matrix(x.pointer, rows: x.count / dim, columns: count, stride: dim)
  }

  private func targets(_ rows: Int) -> [Int32] { (0..<rows).map { Int32($0 * 31 % items) } }

  /// Up to 20 items that each row has seen, some of them twice, some no items at all.
  private func seen(_ rows: Int, margin: Float) -> SeenItems? {
    if margin == 0 { return nil }
    let ends = (0..<rows).map { $0 + 3 }
    return SeenItems(
      margin: margin, items: (0..<(rows + 3)).map { Int32($0 * $0 * 7 % (items + 1)) },
      itemCount: items - 2,  // the last of the table are no items
      ranges: ends.enumerated().map { max(0, $1 - $0 % 21)..<$1 })
  }

  /// The sum of one loss a size, each of prefixes of all numbers.
  private func naive(
    _ hidden: Guarded, _ table: Guarded, _ bias: Guarded, rows: Int, smoothing: Float,
    margin: Float
  ) -> Result {
    var sum = Result(
      loss: 0, dHidden: Array(repeating: 0, count: rows * dim),
      dTable: Array(repeating: 0.5, count: items * dim), dBias: Array(repeating: 0.25, count: items)
    )
    for (size, weight) in zip(sizes, weights) where weight != 0 {
      let (dHidden, dTable) = (
        Guarded(count: rows * dim, value: 0), Guarded(count: items * dim, value: 0)
      )
      let dBias = Guarded(count: items, value: 0)
      let fused = SoftmaxCrossEntropy(
        sizes: [size], scale: 0.25 * weight, smoothing: smoothing)
      sum.loss += fused(
        hidden: columns(hidden, size), table: columns(table, size), bias: bias.pointer,
        targets: targets(rows), seen: seen(rows, margin: margin), dHidden: columns(dHidden, size),
        dTable: columns(dTable, size), dBias: dBias.pointer)
      for (i, value) in dHidden.values.enumerated() { sum.dHidden[i] += value }
      for (i, value) in dTable.values.enumerated() { sum.dTable[i] += value }
      for (i, value) in dBias.values.enumerated() { sum.dBias[i] += value }
    }
    return sum
  }

  /// Tiles of all items, of a few and of the fewest give what one loss a size gives.
  @Test(
    arguments: [1, 5, 255, 256, 257, 600],
    [(0 as Float, 0 as Float), (0.2, 0), (0.1, 1.5), (0, -20)])
  func tilesGiveTheSumOfTheLossesOfAllSizes(rows: Int, options: (Float, Float)) {
    let (smoothing, margin) = options
    let seen = seen(rows, margin: margin)
    let (hidden, table) = (
      Guarded(randomFloats(rows * dim, seed: 70)), Guarded(randomFloats(items * dim, seed: 71))
    )
    let bias = Guarded(randomFloats(items, seed: 72))
    let expected = naive(hidden, table, bias, rows: rows, smoothing: smoothing, margin: margin)
    for (tileCount, keptCount) in [(1 << 20, 1 << 23), (3 * 256 * 32, 0), (1, 1 << 23), (1, 0)] {
      let nested = SoftmaxCrossEntropy(
        sizes: sizes, weights: weights, scale: 0.25, smoothing: smoothing, tileCount: tileCount,
        keptCount: keptCount)
      let (dHidden, dTable) = (
        Guarded(count: rows * dim, value: .nan), Guarded(count: items * dim, value: 0.5)
      )
      let dBias = Guarded(count: items, value: 0.25)
      let loss = nested(
        hidden: columns(hidden, dim), table: columns(table, dim), bias: bias.pointer,
        targets: targets(rows), seen: seen, dHidden: columns(dHidden, dim),
        dTable: columns(dTable, dim), dBias: dBias.pointer)
      let alone = nested(
        hidden: columns(hidden, dim), table: columns(table, dim), bias: bias.pointer,
        targets: targets(rows), seen: seen)
      let label = "tiles of \(tileCount), \(keptCount) kept"
      expectClose(
        [Float(loss), Float(alone)], [expected.loss, expected.loss], .loss, "loss, \(label)")
      func close(_ found: Guarded, _ wanted: [Float], _ name: String) {
        expectClose(
          found.values, wanted.map { Double($0) }, .lossGradient, "\(name), \(label)")
        #expect(found.isIntact)
      }
      close(dHidden, expected.dHidden, "dHidden")
      close(dTable, expected.dTable, "dTable")
      close(dBias, expected.dBias, "dBias")
    }
  }

  @Test func noRowsLeaveNoGradient() {
    let dTable = Guarded(count: items * dim, value: .nan)
    let hidden = Guarded(count: 0)
    let table = Guarded(randomFloats(items * dim, seed: 73))
    let loss = SoftmaxCrossEntropy(sizes: sizes, weights: weights, scale: 1)(
      hidden: columns(hidden, dim), table: columns(table, dim), targets: targets(1),
      dTable: columns(dTable, dim), tableBeta: 0)
    #expect(loss == 0 && dTable.values.allSatisfy { $0 == 0 })
  }
}
