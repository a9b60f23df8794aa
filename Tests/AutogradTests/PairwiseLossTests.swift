import Autograd
import Foundation
import Testing
import _TestSupport

/// BPR, TOP1 and BPR-max against their formulas in double precision and central differences.
@Suite struct PairwiseLossTests {
  private let items = 9
  private let dim = 4
  private let targets: [Int32] = [2, 5, 2]
  /// Item 5 is also a target, so it is left out for that row.
  private let negatives: [Int32] = [0, 5, 7, 8]

  private func loss(
    _ kind: SampledLoss, _ h: [Double], _ table: [Double], _ bias: [Double]
  ) -> Double {
    func score(_ row: Int, _ item: Int32) -> Double {
      (0..<dim).reduce(bias[Int(item)]) { $0 + h[row * dim + $1] * table[Int(item) * dim + $1] }
    }
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    return targets.indices.reduce(0) { total, row in
      let target = score(row, targets[row])
      let others = negatives.filter { $0 != targets[row] }.map { score(row, $0) }
      switch kind {
      case .bpr:
        return total - others.reduce(0) { $0 + log(sigmoid(target - $1)) } / Double(others.count)
      case .top1:
        return total + others.reduce(0) { $0 + sigmoid($1 - target) + sigmoid($1 * $1) }
          / Double(others.count)
      case .bprMax(let regularization):
        let sum = others.reduce(0) { $0 + exp($1) }
        let likely = others.reduce(0) { $0 + exp($1) / sum * sigmoid(target - $1) }
        let squares = others.reduce(0) { $0 + exp($1) / sum * $1 * $1 }
        return total - log(likely) + Double(regularization) * squares
      case .softmax: return .nan
      }
    }
  }

  @Test(arguments: [SampledLoss.bpr, .top1, .bprMax(regularization: 0.7)])
  func valueAndGradientsFollowTheFormula(_ kind: SampledLoss) throws {
    let counts = [targets.count * dim, items * dim, items]
    let inputs = counts.enumerated().map { randomFloats($1, seed: UInt64($0 + 1)) }
    let shapes = [[targets.count, dim], [items, dim], [items]]
    let leaves = zip(inputs, shapes).map { leaf($0, shape: $1) }
    let shared = SharedNegatives(
      items: negatives, logExpected: [3, 4, 5, 6], targetLogExpected: { _ in 7 })
    let tape = Tape()
    let found = sampledLoss(
      kind, leaves[0], table: leaves[1], bias: leaves[2], targets: targets, negatives: shared,
      scale: 0.5, on: Pass(tape: tape))
    let doubles = inputs.map { $0.map { Double($0) } }
    let expected = 0.5 * loss(kind, doubles[0], doubles[1], doubles[2])
    expectClose(found.values, [expected], .lossGradient, "\(kind)")
    tape.backward(from: found)
    for i in 0..<3 {
      let slopes = doubles[i].indices.map { j in
        func value(_ step: Double) -> Double {
          var moved = doubles
          moved[i][j] += step
          return 0.5 * loss(kind, moved[0], moved[1], moved[2])
        }
        return (value(1e-5) - value(-1e-5)) / 2e-5
      }
      let gradient = try #require(tape.store[leaves[i]])
      expectClose(gradient.values, slopes, .lossGradient, "\(kind): gradient \(i)")
    }
  }

  @Test func aTargetAloneCostsNothing() {
    let h = leaf(randomFloats(dim, seed: 1), shape: [1, dim])
    let table = leaf(randomFloats(items * dim, seed: 2), shape: [items, dim])
    for kind in [SampledLoss.bpr, .top1, .bprMax(regularization: 1)] {
      let tape = Tape()
      let loss = sampledLoss(
        kind, h, table: table, targets: [3],
        negatives: SharedNegatives(items: [3], logExpected: [0], targetLogExpected: { _ in 0 }),
        scale: 1, on: Pass(tape: tape))
      #expect(loss.values == [0])
      tape.backward(from: loss)
      #expect(tape.store[h]?.values.allSatisfy { $0 == 0 } == true)
    }
  }
}
