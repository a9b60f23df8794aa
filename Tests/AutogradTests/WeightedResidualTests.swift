import Autograd
import Testing
import _TestSupport

@Suite struct WeightedResidualTests {
  @Test(arguments: [[1, 1], [3, 7], [5, 33]])
  func theSumIsWeighted(shape: [Int]) {
    expectFollows(
      "residual", inputs: [shape, shape, [1]], seed: 30, .products,
      reference: { input in zip(input[0], input[1]).map { $0 + input[2][0] * $1 } },
      op: { residual($0[0], $0[1], weight: $0[2], on: $1) })
  }

  @Test func aWeightOfZeroStillGetsItsGradient() throws {
    let (x, z) = (randomLeaf(shape: [2, 3], seed: 1), randomLeaf(shape: [2, 3], seed: 2))
    let weight = leaf([0], shape: [1])
    let tape = Tape()
    let y = residual(x, z, weight: weight, on: Pass(tape: tape))
    expectSameBits(y.values, x.values, "x alone")
    tape.backward(from: y)
    let sum = z.values.reduce(0.0) { $0 + Double($1) }
    expectClose(try #require(tape.store[weight]).values, [sum], .products, "gradient")
    expectSameBits(try #require(tape.store[z]).values, Array(repeating: 0, count: 6), "z")
  }
}
