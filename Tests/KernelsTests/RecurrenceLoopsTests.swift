import Foundation
import Kernels
import Testing
import VectorLoops
import _TestSupport

/// The loops of recurrences, of every instruction set, against plain loops in double precision.
@Suite struct RecurrenceLoopsTests {
  private static let widths = lengths.filter { $0 > 0 && $0 < 200 }
  private let steps = 7

  /// h[t] = lambda h[t - 1] + gain b[t], one channel of rows of 2 * `channels` numbers.
  private func states(
    _ b: [Double], _ lambda: [Double], _ gain: [Double], _ state: [Double], _ channels: Int
  ) -> [Double] {
    var h = Array(repeating: 0.0, count: b.count)
    for c in 0..<channels {
      var (re, im) = (state[c], state[channels + c])
      let (p, q) = (lambda[c], lambda[channels + c])
      for row in stride(from: 0, to: b.count, by: 2 * channels) {
        (re, im) = (
          p * re - q * im + gain[c] * b[row + c], p * im + q * re + gain[c] * b[row + channels + c]
        )
        (h[row + c], h[row + channels + c]) = (re, im)
      }
    }
    return h
  }

  private func doubles(_ x: [Float]) -> [Double] { x.map { Double($0) } }

  @Test(arguments: InstructionSet.supported, widths)
  func linearRecurrenceRunsForwardsAndBackwards(set: InstructionSet, channels: Int) {
    let width = 2 * channels
    let b = randomFloats(steps * width, seed: 80)
    let lambda = randomFloats(width, seed: 81, in: -0.7...0.7)
    let (gain, state) = (randomFloats(channels, seed: 82), randomFloats(width, seed: 83))
    let expected = states(
      doubles(b), doubles(lambda), doubles(gain), doubles(state), channels)
    let (input, p, g, first) = (Guarded(b), Guarded(lambda), Guarded(gain), Guarded(state))
    // The rows of the result have a gap of three numbers.
    let output = Guarded(count: steps * (width + 3), value: 9)
    set.loops.linearRecurrence(
      input.pointer, lambda: p.pointer, gain: g.pointer, from: first.pointer, into: output.pointer,
      steps: steps, channels: channels, stride: width, outputStride: width + 3)
    let rows = (0..<steps).map { Array(output.values[($0 * (width + 3))...].prefix(width + 3)) }
    expectClose(rows.flatMap { $0.prefix(width) }, expected, .recurrence, "states")
    #expect(rows.allSatisfy { $0.suffix(3) == [9, 9, 9] } && output.isIntact)

    // From the last row to the first, in place, from zero.
    func reversed<Number>(_ x: [Number]) -> [Number] {
      (0..<steps).reversed().flatMap { x[($0 * width)..<(($0 + 1) * width)] }
    }
    let last = (steps - 1) * width
    set.loops.linearRecurrence(
      input.pointer + last, lambda: p.pointer, gain: g.pointer, from: nil,
      into: input.pointer + last, steps: steps, channels: channels, stride: -width,
      outputStride: -width)
    let zeros = Array(repeating: 0.0, count: width)
    let backwards = reversed(
      states(reversed(doubles(b)), doubles(lambda), doubles(gain), zeros, channels))
    expectClose(input.values, backwards, .recurrence, "backwards")
    #expect(input.isIntact)
  }

  @Test(arguments: InstructionSet.supported, widths)
  func decayAddsWhatAnEarlierStateLeaves(set: InstructionSet, channels: Int) {
    let width = 2 * channels
    let h = randomFloats(steps * width, seed: 84)
    let lambda = randomFloats(width, seed: 85, in: -0.7...0.7)
    let state = randomFloats(width, seed: 86)
    let zeros = Array(repeating: 0.0, count: steps * width)
    let left = states(zeros, doubles(lambda), zeros, doubles(state), channels)
    let (output, p, first) = (Guarded(h), Guarded(lambda), Guarded(state))
    set.loops.addDecay(
      of: first.pointer, lambda: p.pointer, into: output.pointer, steps: steps, channels: channels,
      stride: width)
    expectClose(output.values, zip(h, left).map { Double($0) + $1 }, .recurrence, "addDecay")
    #expect(output.isIntact)
  }

  @Test(arguments: InstructionSet.supported, widths)
  func gradientsOfTheRecurrenceAreSumsOverSteps(set: InstructionSet, channels: Int) {
    let width = 2 * channels
    let (b, h) = (randomFloats(steps * width, seed: 87), randomFloats(steps * width, seed: 88))
    let (delta, gain) = (randomFloats(steps * width, seed: 89), randomFloats(channels, seed: 90))
    var dLambda = Array(repeating: 0.25, count: width)
    var dGain = Array(repeating: -0.5, count: channels)
    for t in 0..<steps {
      for c in 0..<channels {
        let (i, j) = (t * width + c, t * width + channels + c)
        let (x, y) = (Double(delta[i]), Double(delta[j]))
        dGain[c] += Double(b[i]) * x + Double(b[j]) * y
        guard t > 0 else { continue }
        let (re, im) = (Double(h[i - width]), Double(h[j - width]))
        dLambda[c] += re * x + im * y
        dLambda[channels + c] += re * y - im * x
      }
    }
    let (d, g) = (Guarded(delta), Guarded(gain))
    let (sums, gains) = (Guarded(count: width, value: 0.25), Guarded(count: channels, value: -0.5))
    set.loops.linearRecurrenceBackward(
      delta: d.pointer, b: b, h: h, gain: g.pointer, steps: steps, channels: channels,
      stride: width, dLambda: sums.pointer, dGain: gains.pointer)
    expectClose(sums.values, dLambda, .sums, "dLambda")
    expectClose(gains.values, dGain, .sums, "dGain")
    let db = delta.indices.map { Double(delta[$0]) * Double(gain[$0 % channels]) }
    expectClose(d.values, db, .rounding, "the gradient of b")
    #expect(d.isIntact && sums.isIntact && gains.isIntact)
  }

  @Test(arguments: InstructionSet.supported, widths)
  func gatesFollowTheirFormulas(set: InstructionSet, count: Int) {
    let (a, b) = (randomFloats(count, seed: 91, in: -6...6), randomFloats(count, seed: 92))
    let y = Guarded(count: count)
    set.loops.sigmoidOfSum(a, b, into: y.pointer, count: count)
    let sigmoids = zip(a, b).map { 1 / (1 + exp(-Double($0) - Double($1))) }
    expectClose(y.values, sigmoids, .activation, "sigmoidOfSum")
    #expect(y.isIntact)

    let (z, h) = (randomFloats(count, seed: 93, in: 0...1), randomFloats(count, seed: 94))
    let r = randomFloats(count, seed: 95, in: 0...1)
    for reset in [nil, r] {
      let candidates = (0..<count).map { i in
        tanh(Double(a[i]) + (reset.map { Double($0[i]) } ?? 1) * Double(b[i]))
      }
      let (state, candidate) = (Guarded(h), Guarded(count: count))
      func update(_ reset: Input?) {
        set.loops.gatedUpdate(
          x: a, u: b, reset: reset, update: z, state: state.pointer, candidate: candidate.pointer,
          count: count)
      }
      if let reset { reset.withUnsafeBufferPointer { update($0.baseAddress) } } else { update(nil) }
      expectClose(candidate.values, candidates, .activation, "candidate")
      let states = (0..<count).map { i in
        (1 - Double(z[i])) * candidates[i] + Double(z[i]) * Double(h[i])
      }
      expectClose(state.values, states, .activation, "state")
      #expect(state.isIntact && candidate.isIntact)
    }
  }

  @Test(arguments: InstructionSet.supported, widths)
  func gradientsOfGatesFollowTheirFormulas(set: InstructionSet, count: Int) {
    let z = randomFloats(count, seed: 96, in: 0...1)
    let (n, h) = (randomFloats(count, seed: 97, in: -1...1), randomFloats(count, seed: 98))
    let dh = randomFloats(count, seed: 99)
    let (state, update, candidate) = (
      Guarded(dh), Guarded(count: count), Guarded(count: count)
    )
    set.loops.gatedUpdateBackward(
      update: z, candidate: n, before: h, dState: state.pointer, dUpdate: update.pointer,
      dCandidate: candidate.pointer, count: count)
    func expected(_ f: (_ z: Double, _ n: Double, _ h: Double, _ d: Double) -> Double) -> [Double] {
      (0..<count).map { f(Double(z[$0]), Double(n[$0]), Double(h[$0]), Double(dh[$0])) }
    }
    expectClose(state.values, expected { z, _, _, d in z * d }, .rounding, "dState")
    expectClose(
      update.values, expected { z, n, h, d in d * (h - n) * z * (1 - z) }, .gates, "dUpdate")
    expectClose(
      candidate.values, expected { z, n, _, d in d * (1 - z) * (1 - n * n) }, .gates, "dCandidate")
    let product = Guarded(dh)
    let reset = Guarded(count: count)
    set.loops.gatedProductBackward(
      reset: z, u: h, dProduct: product.pointer, dReset: reset.pointer, count: count)
    expectClose(product.values, expected { r, _, _, d in r * d }, .rounding, "dProduct")
    expectClose(
      reset.values, expected { r, _, u, d in u * d * r * (1 - r) }, .gates, "dReset")
    #expect(state.isIntact && update.isIntact && candidate.isIntact && product.isIntact)
  }

  @Test(arguments: InstructionSet.supported, widths)
  func largerNumbersAreTakenWithTheirPlace(set: InstructionSet, count: Int) {
    let (x, y) = (randomFloats(count, seed: 100), randomFloats(count, seed: 101))
    let (largest, places) = (Guarded(y), Guarded(count: count, value: 2))
    // Of equal numbers the first stays.
    largest.pointer[0] = x[0]
    set.loops.takeLarger(x, place: 5, into: largest.pointer, places: places.pointer, count: count)
    expectSameBits(
      largest.values, (0..<count).map { $0 == 0 ? x[0] : max(x[$0], y[$0]) }, "takeLarger")
    #expect(places.values == (0..<count).map { $0 > 0 && x[$0] > y[$0] ? 5 : 2 })
    #expect(largest.isIntact && places.isIntact)
  }
}
