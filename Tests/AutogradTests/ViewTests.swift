import Autograd
import Testing
import _TestSupport

/// Blocks of rows and columns share memory and gradient with their tensor.
@Suite struct ViewTests {
  struct Block: Sendable, CustomTestStringConvertible {
    let rows: Range<Int>
    let columns: Range<Int>
    var testDescription: String { "rows \(rows), columns \(columns)" }
  }

  private static let blocks = [
    Block(rows: 0..<7, columns: 0..<9), Block(rows: 0..<4, columns: 0..<9),
    Block(rows: 0..<7, columns: 0..<5), Block(rows: 0..<4, columns: 0..<5),
    Block(rows: 2..<6, columns: 3..<8), Block(rows: 6..<7, columns: 8..<9),
    Block(rows: 3..<4, columns: 0..<9), Block(rows: 0..<7, columns: 8..<9),
  ]

  /// The numbers of a block of a 7 x 9 matrix.
  private func slice(_ values: [Float], _ b: Block) -> [Float] {
    b.rows.flatMap { r in b.columns.map { values[r * 9 + $0] } }
  }

  /// Expects a gradient to be `inner` inside the block and zero outside.
  private func expectOnly(_ gradient: Tensor?, _ b: Block, _ inner: Tensor?, _ label: String) throws
  {
    let (whole, part) = (try #require(gradient), try #require(inner))
    expectClose(
      slice(whole.values, b), part.values.map { Double($0) }, .products, "\(label), inside")
    for r in 0..<7 {
      for c in 0..<9 where !b.rows.contains(r) || !b.columns.contains(c) {
        #expect(whole.values[r * 9 + c] == 0, "\(label), outside at \(r), \(c)")
      }
    }
  }

  @Test(arguments: blocks)
  func linearWithABlockOfAWeightIsThatOfACopy(_ b: Block) throws {
    let weight = randomLeaf(shape: [7, 9], seed: 1)
    let copy = leaf(slice(weight.values, b), shape: [b.rows.count, b.columns.count])
    let bias = randomLeaf(shape: [7], seed: 2)
    let biasCopy = leaf(Array(bias.values[b.rows]), shape: [b.rows.count])
    let x = randomLeaf(shape: [3, b.columns.count], seed: 3)
    let view = weight.block(rows: b.rows, columns: b.columns)
    expectSameBits(view.values, copy.values, "the block")
    let cotangent = randomFloats(3 * b.rows.count, seed: 4)

    func run(_ weight: Tensor, _ bias: Tensor) -> (Tensor, GradientStore) {
      let tape = Tape()
      let y = linear(x, weight: weight, bias: bias, activation: .gelu, on: Pass(tape: tape))
      tape.backward(from: y, cotangent: cotangent)
      return (y, tape.store)
    }
    let (y, found) = run(view, bias.block(columns: b.rows))
    let (expected, reference) = run(copy, biasCopy)
    expectClose(y.values, expected.values.map { Double($0) }, .products, "value")
    try expectOnly(found[weight], b, reference[copy], "gradient of the weight")
    expectSameBits(
      try #require(found[view]).values, slice(try #require(found[weight]).values, b),
      "gradient of the view")
    let dx = try #require(reference[x])
    expectClose(
      try #require(found[x]).values, dx.values.map { Double($0) }, .products, "gradient of x")
    let dBias = try #require(found[bias]).values
    for i in 0..<7 where !b.rows.contains(i) { #expect(dBias[i] == 0) }
    expectSameBits(
      Array(dBias[b.rows]), try #require(reference[biasCopy]).values, "gradient of the bias")
  }

  @Test(arguments: blocks)
  func lookUpsAndLossesWithABlockOfATableAreThoseOfACopy(_ b: Block) throws {
    let table = randomLeaf(shape: [7, 9], seed: 5)
    let copy = leaf(slice(table.values, b), shape: [b.rows.count, b.columns.count])
    let rows = [0, b.rows.count - 1, b.rows.count / 2, 0].map { Int32($0) }

    func run(_ table: Tensor) -> (Tensor, GradientStore) {
      let tape = Tape()
      let pass = Pass(tape: tape)
      let x = gather(table, rows: rows, scale: 0.5, on: pass)
      let loss = softmaxCrossEntropy(x, table: table, targets: rows, scale: 1, on: pass)
      tape.backward(from: loss, cotangent: [-1.5])
      return (loss, tape.store)
    }
    let (loss, found) = run(table.block(rows: b.rows, columns: b.columns))
    let (expected, reference) = run(copy)
    expectClose(loss.values, expected.values.map { Double($0) }, .loss, "loss")
    try expectOnly(found[table], b, reference[copy], "gradient of the table")
  }

  @Test func blocksOfBlocksKeepTheirPlace() throws {
    let weight = randomLeaf(shape: [7, 9], seed: 6)
    let outer = weight.block(rows: 1..<6, columns: 2..<8)
    let inner = outer.block(rows: 1..<4, columns: 1..<5)
    let (rows, columns) = (2..<5, 3..<7)
    expectSameBits(
      inner.values, slice(weight.values, Block(rows: rows, columns: columns)), "nested block")
    let x = randomLeaf(shape: [2, 4], seed: 7)
    let tape = Tape()
    let y = linear(x, weight: inner, on: Pass(tape: tape))
    tape.backward(from: y, cotangent: randomFloats(6, seed: 8))
    let direct = Tape()
    let again = linear(
      x, weight: weight.block(rows: rows, columns: columns), on: Pass(tape: direct))
    direct.backward(from: again, cotangent: randomFloats(6, seed: 8))
    expectSameBits(again.values, y.values, "value")
    expectSameBits(
      try #require(tape.store[weight]).values, try #require(direct.store[weight]).values,
      "gradient")
    expectSameBits(
      try #require(tape.store[inner]).values,
      slice(try #require(direct.store[weight]).values, Block(rows: rows, columns: columns)),
      "gradient of the nested block")
  }

  @Test func blocksOfOneTensorAddToOneGradient() throws {
    let weight = randomLeaf(shape: [4, 6], seed: 9)
    let x = Tensor(randomFloats(3 * 4, seed: 10), shape: [3, 4])
    let cotangent = randomFloats(3 * 4, seed: 11)

    func gradient(of blocks: [Range<Int>]) throws -> [Float] {
      let tape = Tape()
      let pass = Pass(tape: tape)
      let terms = blocks.map { linear(x, weight: weight.block(columns: $0), on: pass) }
      let sum = terms.dropFirst().reduce(terms[0]) { add($0, $1, on: pass) }
      tape.backward(from: sum, cotangent: cotangent)
      return try #require(tape.store[weight]).values
    }
    let both = try gradient(of: [0..<4, 2..<6])
    let apart = zip(try gradient(of: [0..<4]), try gradient(of: [2..<6])).map { Double($0 + $1) }
    expectClose(both, apart, .products, "two blocks that overlap")
  }

  @Test func resultsOfOpsHaveBlocksToo() throws {
    let x = randomLeaf(shape: [3, 4], seed: 12)
    let weight = randomLeaf(shape: [6, 4], seed: 13)
    let cotangent = randomFloats(3 * 6, seed: 14)
    func run(_ split: Bool) throws -> ([Float], [Float]) {
      let tape = Tape()
      let pass = Pass(tape: tape)
      let y = linear(x, weight: weight, on: pass)
      // Both halves again side by side: row r of `y` becomes rows 2 r and 2 r + 1 of the halves.
      guard split else {
        tape.backward(from: y, cotangent: cotangent)
        return (try #require(tape.store[x]).values, try #require(tape.store[weight]).values)
      }
      let identity = Tensor((0..<9).map { $0 % 4 == 0 ? 1 : 0 }, shape: [3, 3])
      let left = linear(y.block(columns: 0..<3), weight: identity, on: pass)
      let right = linear(y.block(columns: 3..<6), weight: identity, on: pass)
      let sum = add(
        multiply(left, Tensor(part(cotangent, 0), shape: [3, 3]), on: pass),
        multiply(right, Tensor(part(cotangent, 3), shape: [3, 3]), on: pass), on: pass)
      tape.backward(from: sum)
      return (try #require(tape.store[x]).values, try #require(tape.store[weight]).values)
    }
    func part(_ values: [Float], _ first: Int) -> [Float] {
      (0..<3).flatMap { r in (0..<3).map { values[r * 6 + first + $0] } }
    }
    let (expected, found) = (try run(false), try run(true))
    expectClose(found.0, expected.0.map { Double($0) }, .products, "gradient of x")
    expectClose(found.1, expected.1.map { Double($0) }, .products, "gradient of the weight")
  }
}
