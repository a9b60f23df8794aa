import Autograd
import Kernels
import Testing
import VectorLoops
import _TestSupport

@Suite struct AttentionDropoutTests {
  private let key = RandomKey(seed: 8, step: 1, op: 0)
  private let offsets = [0, 1, 8, 80]
  private let dim = 6

  private func attend(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, _ key: RandomKey?, isCausal: Bool = true,
    on tape: Tape? = nil
  ) -> Tensor {
    softmaxAttention(
      query: q, key: k, value: v, heads: 2, offsets: offsets, isCausal: isCausal, dropout: 0.3,
      maximalLength: 72, on: Pass(tape: tape, dropoutKey: key))
  }

  private func inputs() -> [Tensor] {
    (0..<3).map { randomLeaf(shape: [80, dim], seed: 40 + UInt64($0)) }
  }

  @Test func probabilitiesAreDroppedByKey() {
    let x = inputs()
    let y = attend(x[0], x[1], x[2], key).values
    expectSameBits(attend(x[0], x[1], x[2], key).values, y, "the same key")
    var other = key
    other.step += 1
    #expect(attend(x[0], x[1], x[2], other).values != y)
    #expect(attend(x[0], x[1], x[2], nil).values != y)
  }

  @Test func theMeanOverMasksIsTheResultWithoutDropout() {
    let x = inputs()
    let plain = attend(x[0], x[1], x[2], nil).values
    let count = 400
    var mean = Array(repeating: 0.0, count: plain.count)
    for step in 0..<count {
      let y = attend(x[0], x[1], x[2], RandomKey(seed: 1, step: UInt32(step), op: 0)).values
      for i in mean.indices { mean[i] += Double(y[i]) / Double(count) }
    }
    // A number is a sum of p_j v_j m_j with |v_j| <= 2, where m_j has the variance p / (1 - p).
    let deviation = 2 * (0.3 / 0.7 / Double(count)).squareRoot()
    #expect(mean.indices.allSatisfy { abs(mean[$0] - Double(plain[$0])) < 5 * deviation })
  }

  @Test(arguments: [true, false])
  func gradientsGoThroughTheMaskOfTheForwardPass(isCausal: Bool) throws {
    let x = inputs()
    let cotangent = randomFloats(80 * dim, seed: 43)
    let tape = Tape()
    let y = attend(x[0], x[1], x[2], key, isCausal: isCausal, on: tape)
    tape.backward(from: y, cotangent: cotangent)
    func product(_ a: [Float], _ b: [Float]) -> Double {
      zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    // A central difference along a random direction, with the same mask.
    for (i, name) in ["queries", "keys", "values"].enumerated() {
      let direction = randomFloats(80 * dim, seed: 44 + UInt64(i), in: -1...1)
      func slope(_ step: Float) -> Double {
        var moved = x
        moved[i] = leaf(
          zip(x[i].values, direction).map { $0 + step * $1 }, shape: [80, dim])
        let y = attend(moved[0], moved[1], moved[2], key, isCausal: isCausal)
        return product(cotangent, y.values)
      }
      let step: Float = 0x1p-7
      let numeric = (slope(step) - slope(-step)) / Double(2 * step)
      let analytic = product(try #require(tape.store[x[i]]).values, direction)
      expectClose([Float(analytic)], [numeric], .finiteDifference, name)
    }
  }

  @Test(arguments: [true, false])
  func masksDoNotDependOnHowHistoriesAreDivided(isCausal: Bool) throws {
    let x = inputs()
    let cotangent = randomFloats(80 * dim, seed: 46)
    func run(_ rows: Range<Int>, _ offsets: [Int]) throws -> (y: [Float], gradients: [[Float]]) {
      let parts = x.map { leaf(Array($0.block(rows: rows).values), shape: [rows.count, dim]) }
      let tape = Tape()
      let y = softmaxAttention(
        query: parts[0], key: parts[1], value: parts[2], heads: 2, offsets: offsets,
        isCausal: isCausal, dropout: 0.3, maximalLength: 72,
        on: Pass(tape: tape, dropoutKey: key, firstToken: rows.lowerBound))
      tape.backward(
        from: y, cotangent: Array(cotangent[(rows.lowerBound * dim)..<(rows.upperBound * dim)]))
      return (y.values, try parts.map { try #require(tape.store[$0]).values })
    }
    let whole = try run(0..<80, offsets)
    let (first, second) = (try run(0..<8, [0, 1, 8]), try run(8..<80, [0, 72]))
    expectSameBits(first.y + second.y, whole.y, "value")
    for i in 0..<3 {
      expectSameBits(
        first.gradients[i] + second.gradients[i], whole.gradients[i], "gradient \(i)")
    }
  }
}
