import Autograd
import Foundation
import Testing
import VectorLoops
import _TestSupport

@Suite struct MixPositionsTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    let (histories, positions, outputs, dim): (Int, Int, Int, Int)
    var testDescription: String { "\(histories)x\(positions)x\(dim) to \(outputs)" }
  }

  private static let shapes = [(1, 1, 1, 1), (3, 5, 4, 7), (2, 4, 1, 17), (1, 6, 9, 3)].map {
    Shape(histories: $0.0, positions: $0.1, outputs: $0.2, dim: $0.3)
  }

  private static func gelu(_ x: Double) -> Double { x * (1 + erf(x / 2.0.squareRoot())) / 2 }

  @Test(arguments: shapes, [Activation.none, .gelu])
  func mixingIsALinearMapOverPositions(_ s: Shape, activation: Activation) {
    expectFollows(
      "mixPositions",
      inputs: [[s.positions * s.histories, s.dim], [s.outputs, s.positions], [s.outputs]],
      seed: 10, .activation,
      reference: { input in
        let (x, weight, bias) = (input[0], input[1], input[2])
        return (0..<s.outputs).flatMap { r in
          (0..<(s.histories * s.dim)).map { c in
            let sum = (0..<s.positions).reduce(bias[r]) {
              $0 + weight[r * s.positions + $1] * x[$1 * s.histories * s.dim + c]
            }
            return activation == .gelu ? Self.gelu(sum) : sum
          }
        }
      },
      op: { x, pass in
        mixPositions(x[0], weight: x[1], bias: x[2], activation: activation, on: pass)
      })
  }

  @Test func someOutputsAreThoseOfAllOutputs() throws {
    let x = randomLeaf(shape: [5 * 2, 3], seed: 1)
    let (weight, bias) = (randomLeaf(shape: [4, 5], seed: 2), randomLeaf(shape: [4], seed: 3))
    let cotangent = randomFloats(2 * 3, seed: 4)
    let all = Tape()
    let y = mixPositions(x, weight: weight, bias: bias, on: Pass(tape: all))
    all.backward(from: y, cotangent: Array(repeating: 0, count: 3 * 6) + cotangent)
    let one = Tape()
    let last = mixPositions(
      x, weight: weight.block(rows: 3..<4), bias: bias.block(columns: 3..<4), on: Pass(tape: one))
    one.backward(from: last, cotangent: cotangent)
    expectClose(last.values, y.values.suffix(6).map { Double($0) }, .products, "last position")
    for (i, leaf) in [x, weight, bias].enumerated() {
      let expected = try #require(all.store[leaf]).values.map { Double($0) }
      expectClose(try #require(one.store[leaf]).values, expected, .products, "gradient \(i)")
    }
  }

  @Test func noHistoriesGiveNoRowsAndNoGradient() throws {
    let (weight, bias) = (randomLeaf(shape: [4, 5], seed: 2), randomLeaf(shape: [4], seed: 3))
    let tape = Tape()
    let y = mixPositions(
      Tensor(shape: [0, 3]), weight: weight, bias: bias, on: Pass(tape: tape))
    #expect(y.shape == [0, 3])
    tape.backward(from: y)
    #expect(try #require(tape.store[weight]).values == Array(repeating: 0, count: 20))
  }

  @Test func dropoutGoesThroughTheMaskOfTheForwardPass() throws {
    let x = randomLeaf(shape: [4 * 3, 5], seed: 5)
    let (weight, bias) = (randomLeaf(shape: [6, 4], seed: 6), randomLeaf(shape: [6], seed: 7))
    let key = RandomKey(seed: 1, step: 1, op: 0)
    func run(_ dropout: Float, on tape: Tape?) -> Tensor {
      mixPositions(
        x, weight: weight, bias: bias, dropout: dropout, on: Pass(tape: tape, dropoutKey: key))
    }
    let tape = Tape()
    let (plain, dropped) = (run(0, on: nil).values, run(0.5, on: tape))
    let mask = zip(dropped.values, plain).map { $0 == 0 ? Float(0) : $0 / $1 }
    #expect(mask.contains(0) && mask.contains { abs($0 - 2) < 1e-4 })
    tape.backward(from: dropped)
    let rows = (0..<6).map { r in
      mask[(r * 15)..<(r * 15 + 15)].reduce(0.0) { $0 + Double($1) }
    }
    expectClose(try #require(tape.store[bias]).values, rows, .products, "gradient of the bias")
  }
}
