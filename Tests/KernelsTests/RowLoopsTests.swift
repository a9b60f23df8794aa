import Foundation
import Kernels
import Testing
import VectorLoops
import _TestSupport

/// Loops that look at whole rows: norms, softmax and the optimiser.
@Suite struct RowLoopsTests {
  private static let positiveLengths = lengths.filter { $0 > 0 }

  @Test(arguments: InstructionSet.supported, positiveLengths)
  func layerNormNormalisesEachRow(set: InstructionSet, columns: Int) {
    let (rows, epsilon) = (3, 1e-3)
    let x = randomFloats(rows * columns, seed: 30)
    let (weight, bias) = (randomFloats(columns, seed: 31), randomFloats(columns, seed: 32))
    let dy = randomFloats(rows * columns, seed: 33)
    var (y, dx) = ([Double](), [Double]())
    var dWeight = Array(repeating: 0.25, count: columns)
    var dBias = Array(repeating: -0.5, count: columns)
    var (means, inverses) = ([Double](), [Double]())
    for r in 0..<rows {
      let row = (0..<columns).map { Double(x[r * columns + $0]) }
      let g = (0..<columns).map { Double(dy[r * columns + $0]) }
      let mean = row.reduce(0, +) / Double(columns)
      let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
      let inverse = 1 / (variance + epsilon).squareRoot()
      let h = row.map { ($0 - mean) * inverse }
      y += (0..<columns).map { h[$0] * Double(weight[$0]) + Double(bias[$0]) }
      let dh = (0..<columns).map { g[$0] * Double(weight[$0]) }
      let a = dh.reduce(0, +) / Double(columns)
      let b = zip(dh, h).reduce(0) { $0 + $1.0 * $1.1 } / Double(columns)
      dx += (0..<columns).map { inverse * (dh[$0] - a - h[$0] * b) }
      for c in 0..<columns {
        dWeight[c] += g[c] * h[c]
        dBias[c] += g[c]
      }
      means.append(mean)
      inverses.append(inverse)
    }
    let (w, m, v) = (Guarded(weight), Guarded(count: rows), Guarded(count: rows))
    let (input, output) = (Guarded(x), Guarded(count: rows * columns))
    set.loops.layerNorm(
      input.pointer, weight: w.pointer, bias: bias, epsilon: Float(epsilon),
      rows: rows, columns: columns, stride: columns, into: output.pointer, means: m.pointer,
      inverses: v.pointer)
    expectClose(output.values, y, .norms, "layerNorm")
    expectClose(m.values, means, .norms, "means")
    expectClose(v.values, inverses, .norms, "inverses")
    let (gw, gb) = (Guarded(count: columns, value: 0.25), Guarded(count: columns, value: -0.5))
    let gradient = Guarded(dy)
    set.loops.layerNormBackward(
      x: input.pointer, dy: gradient.pointer, weight: w.pointer, means: m.pointer,
      inverses: v.pointer, rows: rows, columns: columns, stride: columns,
      into: gradient.pointer, dWeight: gw.pointer, dBias: gb.pointer)
    // One column makes h zero and its inverse 1 / sqrt(epsilon), so rounding is all that is left.
    if columns > 1 { expectClose(gradient.values, dx, .norms, "layerNormBackward dx") }
    expectClose(gw.values, dWeight, .norms, "layerNormBackward dWeight")
    expectClose(gb.values, dBias, .norms, "layerNormBackward dBias")
    #expect(output.isIntact && gradient.isIntact && gw.isIntact && gb.isIntact)
    #expect(m.isIntact && v.isIntact)
  }

  @Test(arguments: InstructionSet.supported, positiveLengths)
  func crossEntropyReplacesLogitsByTheirGradient(set: InstructionSet, count: Int) {
    for (target, smoothing, spread) in [
      (0, 0.0, 3.0), (count - 1, 0.1, 3.0), (count / 2, 0.1, 1e4),
    ] {
      let z = randomFloats(count, seed: 34).map { $0 * Float(spread) }
      let peak = Double(z.max() ?? 0)
      let logSum = peak + log(z.reduce(0) { $0 + exp(Double($1) - peak) })
      let q = (0..<count).map { i in
        smoothing / Double(count) + (i == target ? 1 - smoothing : 0)
      }
      let loss = zip(q, z).reduce(0) { $0 - $1.0 * (Double($1.1) - logSum) }
      let gradient = (0..<count).map { 0.75 * (exp(Double(z[$0]) - logSum) - q[$0]) }
      let logits = Guarded(z)
      let found = set.loops.crossEntropy(
        logits.pointer, count: count, target: target, smoothing: Float(smoothing), scale: 0.75)
      // Terms as large as the largest logit cancel in the loss.
      let size = max(1, abs(peak))
      expectClose([found / Float(size)], [loss / size], .lossOfARow, "loss, \(target)")
      expectClose(logits.values, gradient, .softmax, "gradient, \(target)")
      #expect(logits.isIntact)
    }
  }

  @Test(arguments: InstructionSet.supported, positiveLengths)
  func exponentialsAreThoseOfDifferences(set: InstructionSet, count: Int) {
    let z = randomFloats(count, seed: 35).map { 300 + 10 * $0 }
    let peak = z.max() ?? 0
    let expected = z.map { 0.75 * exp(Double($0 - peak)) }
    let numbers = Guarded(z)
    set.loops.exponentials(numbers.pointer, count: count, shift: peak, factor: 0.75)
    expectClose(numbers.values, expected, .softmax, "factor * exp(x - shift)")
    var found: Float = 0
    let sum = set.loops.sumOfExponentials(z, count: count, peak: &found)
    #expect(found == peak && numbers.isIntact)
    expectClose([sum], [expected.reduce(0, +) / 0.75], .sums, "sum")
    let replaced = Guarded(z)
    found = 0
    let same = set.loops.exponentials(replaced.pointer, count: count, peak: &found)
    #expect(found == peak && replaced.isIntact)
    expectClose(replaced.values, expected.map { $0 / 0.75 }, .softmax, "exp(x - peak)")
    expectClose([same], [expected.reduce(0, +) / 0.75], .sums, "their sum")
  }

  /// Rows in memory whose rows end in whole vectors, with NaN behind the columns.
  private func rowsOfVectors(_ x: [Float], columns: Int) -> (memory: Guarded, stride: Int) {
    let stride = (columns + 15) & ~15
    let memory = Guarded(count: x.count / columns * stride)
    for i in x.indices { memory.pointer[i / columns * stride + i % columns] = x[i] }
    return (memory, stride)
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func softmaxSeesThePastOrAll(set: InstructionSet, before: Int) {
    for isCausal in [true, false] { checkSoftmax(set, before: before, isCausal: isCausal) }
  }

  private func checkSoftmax(_ set: InstructionSet, before: Int, isCausal: Bool) {
    let (rows, scale) = (3, 0.7)
    let columns = before + rows
    let first = isCausal ? before : columns
    let x = randomFloats(rows * columns, seed: 35, in: -20...20)
    let (p, stride) = rowsOfVectors(x, columns: columns)
    let (again, _) = rowsOfVectors(x, columns: columns)
    var expected = Array(repeating: 0.0, count: rows * stride)
    var sums: [Double] = []
    for r in 0..<rows {
      let visible = (0..<min(first + r + 1, columns)).map { scale * Double(x[r * columns + $0]) }
      let peak = visible.max() ?? 0
      sums.append(peak + log(visible.reduce(0) { $0 + exp($1 - peak) }))
      for (c, value) in visible.enumerated() { expected[r * stride + c] = exp(value - sums[r]) }
    }
    let found = Guarded(count: rows)
    set.loops.causalSoftmax(
      p.pointer, rows: rows, columns: columns, stride: stride, first: first, scale: Float(scale),
      logSums: found.pointer)
    expectClose(p.values, expected, .softmax, "causalSoftmax")
    expectClose(found.values, sums, .softmax, "logSums")
    set.loops.causalProbabilities(
      again.pointer, rows: rows, columns: columns, stride: stride, first: first,
      scale: Float(scale), logSums: found.pointer)
    expectClose(again.values, expected, .probabilitiesFoundAgain, "causalProbabilities")
    let hidden = expected.indices.filter { expected[$0] == 0 }
    #expect(hidden.allSatisfy { p.pointer[$0] == 0 && again.pointer[$0] == 0 })
    #expect(p.isIntact && again.isIntact && found.isIntact)
    let (unsummed, _) = rowsOfVectors(x, columns: columns)
    set.loops.causalSoftmax(
      unsummed.pointer, rows: rows, columns: columns, stride: stride, first: first,
      scale: Float(scale), logSums: nil)
    expectSameBits(unsummed.values, p.values, "without sums")
  }

  @Test(arguments: InstructionSet.supported, lengths.filter { $0 > 0 })
  func softmaxBackwardFollowsItsFormula(set: InstructionSet, columns: Int) {
    let rows = 2
    let (p, dp) = (
      randomFloats(rows * columns, seed: 36, in: 0...1), randomFloats(rows * columns, seed: 37)
    )
    let shifts: [Float] = [0.3, -0.8]
    let (probabilities, stride) = rowsOfVectors(p, columns: columns)
    let (output, _) = rowsOfVectors(dp, columns: columns)
    set.loops.softmaxBackward(
      p: probabilities.pointer, dp: output.pointer, rows: rows, columns: columns, stride: stride,
      shifts: shifts, scale: 0.5)
    let expected = p.indices.map {
      0.5 * Double(p[$0]) * (Double(dp[$0]) - Double(shifts[$0 / columns]))
    }
    let found = p.indices.map { output.pointer[$0 / columns * stride + $0 % columns] }
    expectClose(found, expected, .rounding, "softmaxBackward")
    #expect(output.isIntact)
  }

  @Test(arguments: InstructionSet.supported, lengths)
  func adamFollowsItsFormula(set: InstructionSet, count: Int) {
    let step = AdamStep(
      rate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-4, secondCorrection: 0.25,
      coupledDecay: 0.1, shrink: 0.95)
    let (w, g) = (randomFloats(count, seed: 38), randomFloats(count, seed: 39))
    let (m, v) = (randomFloats(count, seed: 40), randomFloats(count, seed: 41, in: 0...2))
    let (weights, first, second) = (Guarded(w), Guarded(m), Guarded(v))
    set.loops.adam(
      weights.pointer, gradient: g, first: first.pointer, second: second.pointer,
      count: count, step: step)
    let (beta1, beta2) = (Double(step.beta1), Double(step.beta2))
    let gradients = (0..<count).map { Double(g[$0]) + Double(step.coupledDecay) * Double(w[$0]) }
    let firsts = (0..<count).map { beta1 * Double(m[$0]) + (1 - beta1) * gradients[$0] }
    let seconds = (0..<count).map {
      beta2 * Double(v[$0]) + (1 - beta2) * gradients[$0] * gradients[$0]
    }
    let moved = (0..<count).map {
      let root = (seconds[$0] / Double(step.secondCorrection)).squareRoot()
      return Double(w[$0]) * Double(step.shrink)
        - Double(step.rate) * firsts[$0] / (root + Double(step.epsilon))
    }
    expectClose(first.values, firsts, .optimiser, "first moment")
    expectClose(second.values, seconds, .optimiser, "second moment")
    expectClose(weights.values, moved, .optimiser, "weights")
    #expect(weights.isIntact && first.isIntact && second.isIntact)
  }
}
