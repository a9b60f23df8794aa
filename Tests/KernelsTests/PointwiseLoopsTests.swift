import Kernels
import Testing
import VectorLoops
import _TestSupport

/// Lengths about the width of a vector, 16, and of four of them.
let lengths = [0, 1, 15, 16, 17, 63, 64, 65, 100, 1000]

/// Every set of loops that this processor runs, against plain loops in double precision.
@Suite struct PointwiseLoopsTests {
  @Test(arguments: InstructionSet.supported, lengths)
  func fillWritesEveryNumber(set: InstructionSet, count: Int) {
    let x = Guarded(count: count)
    set.loops.fill(x.pointer, count: count, value: -2.5)
    expectSameBits(x.values, Array(repeating: -2.5, count: count), "fill")
    #expect(x.isIntact)
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func accumulateAddsAMultiple(set: InstructionSet, count: Int) {
    let (x, y) = (randomFloats(count, seed: 1), randomFloats(count, seed: 2))
    let (input, output) = (Guarded(x), Guarded(y))
    set.loops.accumulate(input.pointer, alpha: -1.75, into: output.pointer, count: count)
    let expected = zip(x, y).map { Double($1) - 1.75 * Double($0) }
    expectClose(output.values, expected, .rounding, "accumulate")
    expectSameBits(input.values, x, "the input of accumulate")
    #expect(output.isIntact)
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func scaleMultipliesByAConstant(set: InstructionSet, count: Int) {
    let x = randomFloats(count, seed: 3)
    let (input, output) = (Guarded(x), Guarded(count: count))
    set.loops.scale(input.pointer, alpha: 0.3, into: output.pointer, count: count)
    let expected = x.map { Double(Float(0.3)) * Double($0) }
    expectClose(output.values, expected, .rounding, "scale")
    #expect(output.isIntact)
    set.loops.scale(input.pointer, alpha: 0.3, into: input.pointer, count: count)
    expectSameBits(input.values, output.values, "scale in place")
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func sumsAndProductsAreThoseOfEachPair(set: InstructionSet, count: Int) {
    let (x, y) = (randomFloats(count, seed: 4), randomFloats(count, seed: 5))
    let (a, b, output) = (Guarded(x), Guarded(y), Guarded(count: count))
    set.loops.add(a.pointer, b.pointer, into: output.pointer, count: count)
    expectSameBits(output.values, zip(x, y).map { $0 + $1 }, "add")
    set.loops.multiply(a.pointer, b.pointer, into: output.pointer, count: count)
    expectSameBits(output.values, zip(x, y).map { $0 * $1 }, "multiply")
    #expect(output.isIntact)
    set.loops.multiply(a.pointer, b.pointer, into: a.pointer, count: count)
    expectSameBits(a.values, output.values, "multiply in place")
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func totalSumsAllNumbers(set: InstructionSet, count: Int) {
    let x = randomFloats(count, seed: 8, in: 0...2)
    let expected = x.reduce(0) { $0 + Double($1) }
    expectClose([set.loops.total(x, count: count)], [expected], .sums, "total")
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func dotSumsAllProducts(set: InstructionSet, count: Int) {
    let (x, y) = (randomFloats(count, seed: 6, in: 0...2), randomFloats(count, seed: 7, in: 0...2))
    let result = set.loops.dot(x, y, count: count)
    let expected = zip(x, y).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    expectClose([result], [expected], .sums, "dot")
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func addBiasTouchesOnlyItsColumns(set: InstructionSet, columns: Int) {
    let (rows, stride) = (3, columns + 5)
    let (x, bias) = (randomFloats(rows * stride, seed: 8), randomFloats(columns, seed: 9))
    let output = Guarded(x)
    set.loops.addBias(
      bias, to: output.pointer, rows: rows, columns: columns, stride: stride)
    let expected = x.indices.map { i in
      i % stride < columns ? x[i] + bias[i % stride] : x[i]
    }
    expectSameBits(output.values, expected, "addBias")
    #expect(output.isIntact)
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func addColumnSumsAddsEveryRow(set: InstructionSet, columns: Int) {
    let (rows, stride) = (7, columns + 3)
    let (x, start) = (randomFloats(rows * stride, seed: 10), randomFloats(columns, seed: 11))
    let output = Guarded(start)
    set.loops.addColumnSums(
      of: x, into: output.pointer, rows: rows, columns: columns, stride: stride)
    let expected = (0..<columns).map { c in
      (0..<rows).reduce(Double(start[c])) { $0 + Double(x[$1 * stride + c]) }
    }
    expectClose(output.values, expected, .sums, "addColumnSums")
    #expect(output.isIntact)
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func addResidualScalesTheSecondTerm(set: InstructionSet, count: Int) {
    let (x, z) = (randomFloats(count, seed: 12), randomFloats(count, seed: 13))
    let scales = (0..<count).map { $0 % 3 == 0 ? Float(0) : 1.25 }
    let (a, b, output) = (Guarded(x), Guarded(z), Guarded(count: count))
    set.loops.addResidual(
      a.pointer, b.pointer, scales: scales, into: output.pointer, count: count)
    let expected = (0..<count).map { Double(x[$0]) + Double(scales[$0]) * Double(z[$0]) }
    expectClose(output.values, expected, .rounding, "addResidual")
    set.loops.addResidual(a.pointer, b.pointer, scales: nil, into: output.pointer, count: count)
    expectSameBits(output.values, zip(x, z).map { $0 + $1 }, "addResidual without scales")
    #expect(output.isIntact)
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func allFiniteFindsOneBadNumberAnywhere(set: InstructionSet, count: Int) {
    let x = Guarded(
      (0..<count).map { $0 % 2 == 0 ? Float.greatestFiniteMagnitude : -.leastNonzeroMagnitude })
    #expect(set.loops.allFinite(x.pointer, count: count))
    for i in 0..<count {
      let good = x.pointer[i]
      for bad in [Float.nan, .infinity, -.infinity] {
        x.pointer[i] = bad
        #expect(!set.loops.allFinite(x.pointer, count: count), "\(bad) at \(i)")
      }
      x.pointer[i] = good
    }
  }
}
