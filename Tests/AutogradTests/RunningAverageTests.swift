import Autograd
import Foundation
import Testing
import _TestSupport

@Suite struct RunningAverageTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    let lengths: [Int]
    let dim: Int
    var offsets: [Int] { lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) } }
    var tokens: Int { lengths.reduce(0, +) }
    var testDescription: String { "\(lengths) x \(dim)" }
  }

  private static let shapes = [
    Shape(lengths: [1], dim: 1), Shape(lengths: [1, 5, 1, 3], dim: 7),
    Shape(lengths: [17, 0, 2], dim: 17),
  ]

  /// A softmax over each prefix, term by term.
  private static func reference(_ x: [Double], _ scores: [Double], _ shape: Shape) -> [Double] {
    zip(shape.offsets, shape.offsets.dropFirst()).flatMap { start, end in
      (start..<end).flatMap { t -> [Double] in
        let weights = (start...t).map { exp(scores[$0]) }
        let sum = weights.reduce(0, +)
        return (0..<shape.dim).map { c in
          (start...t).reduce(0) { $0 + weights[$1 - start] / sum * x[$1 * shape.dim + c] }
        }
      }
    }
  }

  @Test(arguments: shapes)
  func averagesAreSoftmaxesOverPrefixes(_ shape: Shape) {
    expectFollows(
      "runningAverage", inputs: [[shape.tokens, shape.dim], [shape.tokens, 1]], seed: 1,
      .runningAverage, reference: { Self.reference($0[0], $0[1], shape) },
      op: { runningAverage($0[0], scores: $0[1], offsets: shape.offsets, on: $1) })
  }

  @Test(arguments: shapes)
  func withoutScoresEveryItemCountsAlike(_ shape: Shape) {
    let scores = Array(repeating: 0.0, count: shape.tokens)
    expectFollows(
      "runningAverage", inputs: [[shape.tokens, shape.dim]], seed: 2, .runningAverage,
      reference: { Self.reference($0[0], scores, shape) },
      op: { runningAverage($0[0], offsets: shape.offsets, on: $1) })
  }

  @Test(arguments: [Float(-1e4), -200, 200, 1e4])
  func largeScoresNeitherOverflowNorVanish(level: Float) throws {
    let shape = Shape(lengths: [6, 4], dim: 3)
    let x = randomLeaf(shape: [10, 3], seed: 3)
    let moves: [Float] = [0, 1.5, -300, 0.25, 2, 0, 0, -1, 1, 3]
    let scores = leaf(moves.map { level + $0 }, shape: [10, 1])
    let tape = Tape()
    let y = runningAverage(x, scores: scores, offsets: shape.offsets, on: Pass(tape: tape))
    // A constant added to all scores changes nothing.
    let expected = Self.reference(x.values.map { Double($0) }, moves.map { Double($0) }, shape)
    expectClose(y.values, expected, .runningAverage, "averages")
    tape.backward(from: y)
    #expect(try #require(tape.store[scores]).values.allSatisfy { $0.isFinite })
    #expect(try #require(tape.store[x]).values.allSatisfy { $0.isFinite })
  }

  @Test func historiesAreApart() {
    let x = randomLeaf(shape: [9, 4], seed: 4)
    let scores = randomLeaf(shape: [9, 1], seed: 5)
    func run(_ rows: Range<Int>, _ offsets: [Int]) -> [Float] {
      runningAverage(
        x.block(rows: rows), scores: scores.block(rows: rows), offsets: offsets, on: .inference
      ).values
    }
    expectSameBits(run(0..<4, [0, 4]) + run(4..<9, [0, 5]), run(0..<9, [0, 4, 9]), "averages")
  }
}
