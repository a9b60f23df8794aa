import Autograd
import Testing
import VectorLoops
import _TestSupport

@Suite struct DropoutTests {
  private let key = RandomKey(seed: 5, step: 3, op: 0)

  /// A training pass without a tape.
  private func pass(_ key: RandomKey, firstToken: Int = 0) -> Pass {
    Pass(tape: nil, dropoutKey: key, firstToken: firstToken)
  }

  /// The mask that dropout puts on ones.
  private func mask(rows: Int, columns: Int, _ pass: Pass, probability: Float = 0.25) -> [Float] {
    let ones = Tensor(Array(repeating: 1, count: rows * columns), shape: [rows, columns])
    return dropout(ones, probability: probability, on: pass).values
  }

  @Test(arguments: [Float(0.05), 0.2, 0.5, 0.8])
  func theMeanStaysWhatItWas(probability: Float) {
    let (rows, columns) = (1000, 100)
    let mask = mask(rows: rows, columns: columns, pass(key), probability: probability)
    let kept = Double(mask.count { $0 != 0 })
    let (count, q) = (Double(rows * columns), 1 - Double(probability))
    // Five standard deviations of the binomial distribution.
    #expect(abs(kept - q * count) < 5 * (q * (1 - q) * count).squareRoot())
    #expect(mask.allSatisfy { $0 == 0 || $0 == 1 / (1 - probability) })
  }

  @Test func equalKeysGiveEqualMasksAndOthersOthers() {
    let first = mask(rows: 50, columns: 7, pass(key))
    expectSameBits(mask(rows: 50, columns: 7, pass(key)), first, "the same key")
    for other in [
      RandomKey(seed: 6, step: 3, op: 0), RandomKey(seed: 5 + 1 << 32, step: 3, op: 0),
      RandomKey(seed: 5, step: 4, op: 0),
    ] {
      #expect(mask(rows: 50, columns: 7, pass(other)) != first)
    }
    let twice = pass(key)
    #expect(mask(rows: 50, columns: 7, twice) == first)
    #expect(mask(rows: 50, columns: 7, twice) != first, "a second op of the same pass")
  }

  /// Columns of two planes of a model of width 12, whose first four channels drop nothing, the next
  /// four half as much as the last.
  @Test func columnsOfNestedModelsDropTheirShare() {
    let widths = NestedWidths(
      sizes: [4, 8, 12], weights: [1, 1, 1], dropouts: [0, 0.5, 1])
    let (rows, columns) = (500, 24)
    func nested(firstToken: Int = 0) -> Pass {
      Pass(tape: nil, dropoutKey: key, firstToken: firstToken, widths: widths)
    }
    let found = mask(rows: rows, columns: columns, nested(), probability: 0.5)
    for (chunk, probability) in [Float(0), 0.25, 0.5].enumerated() {
      let own = found.indices.filter { $0 % 12 / 4 == chunk }
      let whole = mask(
        rows: rows, columns: columns, pass(key), probability: probability)
      #expect(own.allSatisfy { found[$0] == whole[$0] }, "chunk \(chunk)")
    }
    let rest = mask(rows: rows - 100, columns: columns, nested(firstToken: 100), probability: 0.5)
    expectSameBits(rest, Array(found[(100 * columns)...]), "a later part of the batch")
  }

  @Test func masksAreAsGoodAsIndependent() {
    // Two masks of rate 1/4 agree in 5/8 of all places, whatever tells their keys apart.
    let (rows, columns) = (400, 50)
    let first = mask(rows: rows, columns: columns, pass(key))
    let secondOp = pass(key)
    _ = mask(rows: rows, columns: columns, secondOp)
    let others = [
      mask(rows: rows, columns: columns, secondOp),
      mask(rows: rows, columns: columns, pass(RandomKey(seed: 5, step: 4, op: 0))),
      mask(rows: rows, columns: columns, pass(RandomKey(seed: 4, step: 3, op: 0))),
      mask(rows: rows, columns: columns, pass(key, firstToken: 1)),
    ]
    let (count, p) = (Double(rows * columns), 0.625)
    for (i, other) in others.enumerated() {
      let equal = Double(zip(first, other).count { $0 == $1 })
      #expect(abs(equal - p * count) < 5 * (p * (1 - p) * count).squareRoot(), "mask \(i)")
    }
  }

  @Test(arguments: [1, 3, 16, 20])
  func masksDoNotDependOnHowRowsAreDivided(columns: Int) {
    let whole = mask(rows: 30, columns: columns, pass(key))
    for cut in [1, 7, 29] {
      let parts =
        mask(rows: cut, columns: columns, pass(key))
        + mask(rows: 30 - cut, columns: columns, pass(key, firstToken: cut))
      expectSameBits(parts, whole, "cut at \(cut)")
    }
  }

  @Test func nothingIsDroppedWithoutAKeyOrAProbability() {
    let x = randomLeaf(shape: [4, 5], seed: 30)
    #expect(dropout(x, probability: 0.5, on: .inference) === x)
    #expect(dropout(x, probability: 0, on: pass(key)) === x)
    // An op that drops nothing still counts, so that switching it off does not change the others'
    // masks.
    let (one, two) = (pass(key), pass(key))
    _ = dropout(x, probability: 0, on: one)
    _ = dropout(x, probability: 0.5, on: two)
    expectSameBits(
      mask(rows: 9, columns: 5, one), mask(rows: 9, columns: 5, two), "the second op's mask")
  }

  @Test func gradientsGoThroughTheMaskOfTheForwardPass() throws {
    let shape = [9, 13]
    let (x, z) = (randomLeaf(shape: shape, seed: 31), randomLeaf(shape: shape, seed: 32))
    let cotangent = randomFloats(9 * 13, seed: 33)
    let mask = mask(rows: 9, columns: 13, pass(key, firstToken: 2))
    let masked = zip(cotangent, mask).map { Double($0) * Double($1) }

    let tape = Tape()
    let y = dropout(
      x, probability: 0.25, on: Pass(tape: tape, dropoutKey: key, firstToken: 2))
    expectClose(y.values, zip(x.values, mask).map { Double($0) * Double($1) }, .rounding, "value")
    tape.backward(from: y, cotangent: cotangent)
    expectClose(try #require(tape.store[x]).values, masked, .rounding, "gradient")

    let other = Tape()
    let sum = residual(
      x, z, dropout: 0.25, on: Pass(tape: other, dropoutKey: key, firstToken: 2))
    let expected = x.values.indices.map {
      Double(x.values[$0]) + Double(mask[$0]) * Double(z.values[$0])
    }
    expectClose(sum.values, expected, .rounding, "residual")
    other.backward(from: sum, cotangent: cotangent)
    expectSameBits(try #require(other.store[x]).values, cotangent, "gradient of the first term")
    expectClose(try #require(other.store[z]).values, masked, .rounding, "gradient of the second")
  }

  @Test func linearDropsItsActivations() throws {
    let x = randomLeaf(shape: [8, 5], seed: 34)
    let (weight, bias) = (randomLeaf(shape: [11, 5], seed: 35), randomLeaf(shape: [11], seed: 36))
    let cotangent = randomFloats(8 * 11, seed: 37)
    func run(_ op: (Pass) -> Tensor) throws -> [[Float]] {
      let tape = Tape()
      let y = op(Pass(tape: tape, dropoutKey: key))
      tape.backward(from: y, cotangent: cotangent)
      return try [y].map(\.values) + [x, weight, bias].map { try #require(tape.store[$0]).values }
    }
    let fused = try run {
      linear(x, weight: weight, bias: bias, activation: .silu, dropout: 0.25, on: $0)
    }
    let apart = try run {
      // The inner op asks for a key first, so it gets a pass of its own with the same tape.
      let inner = linear(
        x, weight: weight, bias: bias, activation: .silu, on: Pass(tape: $0.tape))
      return dropout(inner, probability: 0.25, on: $0)
    }
    for (i, name) in ["value", "x", "weight", "bias"].enumerated() {
      expectClose(fused[i], apart[i].map { Double($0) }, .products, name)
    }
  }
}
