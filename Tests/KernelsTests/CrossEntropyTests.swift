import Foundation
import Kernels
import Testing
import _TestSupport

@Suite struct CrossEntropyTests {
  /// Loss and gradients of whole logits, in double precision.
  private func unfused(
    _ hidden: [Float], _ table: [Float], _ targets: [Int32], dim: Int, scale: Double,
    smoothing: Double
  ) -> (loss: Double, dHidden: [Double], dTable: [Double]) {
    let items = table.count / dim
    var loss = 0.0
    var dHidden = Array(repeating: 0.0, count: hidden.count)
    var dTable = Array(repeating: 0.0, count: table.count)
    for (r, target) in targets.enumerated() {
      let z = (0..<items).map { i in
        (0..<dim).reduce(0.0) { $0 + Double(hidden[r * dim + $1]) * Double(table[i * dim + $1]) }
      }
      let logSum = log(z.reduce(0) { $0 + exp($1) })
      for i in 0..<items {
        let q = smoothing / Double(items) + (i == Int(target) ? 1 - smoothing : 0)
        loss -= scale * q * (z[i] - logSum)
        let g = scale * (exp(z[i] - logSum) - q)
        for d in 0..<dim {
          dHidden[r * dim + d] += g * Double(table[i * dim + d])
          dTable[i * dim + d] += g * Double(hidden[r * dim + d])
        }
      }
    }
    return (loss, dHidden, dTable)
  }

  /// All logits in one tile, kept in several, for a hundred rows at a time, and found again.
  @Test(arguments: [0, 1, 255, 256, 257, 600], [0.0, 0.2])
  func tilesGiveTheResultOfAllLogits(rows: Int, smoothing: Double) {
    let (dim, items, scale) = (6, 37, 0.25)
    let hidden = randomFloats(rows * dim, seed: 60)
    let table = randomFloats(items * dim, seed: 61)
    let targets = (0..<rows).map { Int32($0 * 7 % items) }
    let expected = unfused(
      hidden, table, targets, dim: dim, scale: scale, smoothing: smoothing)
    let (h, e) = (Guarded(hidden), Guarded(table))
    func matrix(_ x: Guarded) -> Matrix { Matrix(x.pointer, rows: x.count / dim, columns: dim) }
    for (tileCount, keptCount) in [(1 << 17, 1 << 23), (1, 1 << 23), (1, 100 * 53), (1, 0)] {
      let label = "tiles of \(tileCount), \(keptCount) kept"
      let fused = SoftmaxCrossEntropy(
        sizes: [dim], scale: Float(scale), smoothing: Float(smoothing), tileCount: tileCount,
        keptCount: keptCount)
      let alone = fused(hidden: matrix(h), table: matrix(e), targets: targets)
      for beta in [Float(0), 1] {
        let dHidden = Guarded(count: hidden.count)
        let dTable = Guarded(count: table.count, value: beta == 0 ? .nan : 0.5)
        let loss = fused(
          hidden: matrix(h), table: matrix(e), targets: targets, dHidden: matrix(dHidden),
          dTable: matrix(dTable), tableBeta: beta)
        expectClose(
          [Float(loss), Float(alone)], [expected.loss, expected.loss], .loss, "loss, \(label)")
        expectClose(dHidden.values, expected.dHidden, .lossGradient, "dHidden, \(beta), \(label)")
        expectClose(
          dTable.values, expected.dTable.map { $0 + 0.5 * Double(beta) }, .lossGradient,
          "dTable, \(beta), \(label)")
        #expect(dHidden.isIntact && dTable.isIntact)
      }
    }
  }

  @Test func oneGradientAloneIsThatOfBoth() {
    let (rows, dim, items) = (5, 3, 8)
    let (h, e) = (
      Guarded(randomFloats(rows * dim, seed: 62)), Guarded(randomFloats(items * dim, seed: 63))
    )
    let targets = (0..<rows).map { Int32($0) }
    let hidden = Matrix(h.pointer, rows: rows, columns: dim)
    let table = Matrix(e.pointer, rows: items, columns: dim)
    let fused = SoftmaxCrossEntropy(sizes: [dim], scale: 1)
    func gradients(_ wants: (hidden: Bool, table: Bool)) -> ([Float], [Float]) {
      let (dHidden, dTable) = (Guarded(count: rows * dim), Guarded(count: items * dim))
      _ = fused(
        hidden: hidden, table: table, targets: targets,
        dHidden: wants.hidden ? Matrix(dHidden.pointer, rows: rows, columns: dim) : nil,
        dTable: wants.table ? Matrix(dTable.pointer, rows: items, columns: dim) : nil, tableBeta: 0)
      return (dHidden.values, dTable.values)
    }
    let both = gradients((true, true))
    expectSameBits(gradients((true, false)).0, both.0, "dHidden")
    expectSameBits(gradients((false, true)).1, both.1, "dTable")
  }

  /// A row that has seen a place of the table behind its items, and its own target, is as if it had
  /// seen nothing.
  @Test func whatIsNoItemIsNotRaised() {
    let (h, e) = (Guarded(randomFloats(6, seed: 64)), Guarded(randomFloats(12, seed: 65)))
    let hidden = Matrix(h.pointer, rows: 2, columns: 3)
    let table = Matrix(e.pointer, rows: 4, columns: 3)
    func loss(_ items: [Int32]) -> Double {
      let seen = SeenItems(
        margin: 2, items: items, itemCount: 3, ranges: [0..<0, 0..<items.count])
      return SoftmaxCrossEntropy(sizes: [3], scale: 1)(
        hidden: hidden, table: table, targets: [0, 1], seen: seen)
    }
    #expect(loss([3, 1, 9, -1]) == loss([]))
    #expect(loss([2]) > loss([]) && loss([2, 2]) == loss([2]))
  }

  /// Tiles of nothing but such items, the first one among them, have peaks far below the others'.
  @Test(arguments: [(1, 0), (1, 1 << 23), (1 << 17, 1 << 23)])
  func itemsFarBelowTheOthersLeaveTheSoftmax(tileCount: Int, keptCount: Int) {
    let (h, e) = (Guarded(randomFloats(6, seed: 66)), Guarded(randomFloats(240, seed: 67)))
    let (dh, de) = (Guarded(count: 6), Guarded(count: 240))
    let left = Array(Int32(40)..<60)
    func matrix(_ x: Guarded, rows: Int) -> Matrix { Matrix(x.pointer, rows: rows, columns: 3) }
    let loss = SoftmaxCrossEntropy(
      sizes: [3], scale: 1, tileCount: tileCount, keptCount: keptCount)
    let found = loss(
      hidden: matrix(h, rows: 2), table: matrix(e, rows: 80), targets: [41, 70],
      seen: SeenItems(
        margin: -100, items: (0..<80).filter { !left.contains($0) && $0 != 70 }, itemCount: 80,
        ranges: [0..<59, 0..<59]),
      dHidden: matrix(dh, rows: 2), dTable: matrix(de, rows: 80), tableBeta: 0)
    var expected = 0.0
    for (row, target) in [41, 70].enumerated() {
      func score(_ item: Int) -> Double {
        (0..<3).reduce(0) {
          $0 + Double(h.pointer[row * 3 + $1]) * Double(e.pointer[item * 3 + $1])
        }
      }
      // Item 70 is not among what was seen: it competes in both rows.
      let sum = (left.map { Int($0) } + [70]).reduce(0) { $0 + exp(score($1)) }
      expected += log(sum) - score(target)
    }
    expectClose([Float(found)], [expected], .loss, "loss")
    #expect(
      (0..<120).allSatisfy { abs(de.pointer[$0]) < 1e-30 }, "gradients of items that are left out")
    #expect(de.pointer[3 * 41] != 0 && dh.isIntact && de.isIntact)
  }

  /// The last tile of a table may hold no items at all.
  @Test func tilesBehindTheItemsAreNotRaised() {
    let (h, e) = (Guarded(randomFloats(6, seed: 66)), Guarded(randomFloats(51, seed: 67)))
    let losses = [1, 1 << 17].map { tileCount in
      SoftmaxCrossEntropy(sizes: [3], scale: 1, tileCount: tileCount)(
        hidden: Matrix(h.pointer, rows: 2, columns: 3),
        table: Matrix(e.pointer, rows: 17, columns: 3), targets: [0, 1],
        seen: SeenItems(margin: 2, items: [3, 15, 16], itemCount: 16, ranges: [0..<2, 1..<3]))
    }
    expectClose([Float(losses[0])], [losses[1]], .loss, "tiles of 16 items")
  }

  @Test func wrongRangesStopTheProgram() async {
    await #expect(processExitsWith: .failure) {
      _ = SeenItems(margin: 1, items: [1, 2], itemCount: 3, ranges: [0..<3])
    }
  }
}
