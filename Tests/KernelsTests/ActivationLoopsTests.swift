import Foundation
import Kernels
import Testing
import VectorLoops
import _TestSupport

@Suite struct ActivationLoopsTests {
  /// The value and the derivative of an activation.
  private static func reference(_ activation: Activation, _ x: Double) -> (y: Double, dy: Double) {
    switch activation {
    case .none: return (x, 1)
    case .relu: return (max(x, 0), x > 0 ? 1 : 0)
    case .gelu:
      let distribution = 0.5 * erfc(-x / 2.0.squareRoot())
      return (x * distribution, distribution + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot())
    case .silu:
      let s = 1 / (1 + exp(-x))
      return (x * s, s * (1 + x * (1 - s)))
    }
  }

  private func check(
    _ set: InstructionSet, _ activation: Activation, _ x: [Float], _ tolerance: Tolerance
  ) {
    let dy = randomFloats(x.count, seed: 21)
    let kept = x.indices.map { $0 % 4 == 1 ? Float(0) : 1.5 }
    let (input, cotangent, scales) = (Guarded(x), Guarded(dy), Guarded(kept))
    for scale in [nil, scales] {
      let factor = { (i: Int) in scale == nil ? 1 : Double(kept[i]) }
      let references = x.map { Self.reference(activation, Double($0)) }
      let (y, dx) = (Guarded(count: x.count), Guarded(count: x.count))
      set.loops.activate(
        input.pointer, activation: activation, scales: scale.map { Input($0.pointer) },
        into: y.pointer, count: x.count)
      let values = x.indices.map { references[$0].y * factor($0) }
      expectClose(y.values, values, tolerance, "\(activation)")
      set.loops.activateBackward(
        x: input.pointer, dy: cotangent.pointer, activation: activation,
        scales: scale.map { Input($0.pointer) }, into: dx.pointer, count: x.count)
      let gradients = x.indices.map { references[$0].dy * factor($0) * Double(dy[$0]) }
      expectClose(dx.values, gradients, tolerance, "the derivative of \(activation)")
      #expect(y.isIntact && dx.isIntact)
    }
  }

  @Test(arguments: InstructionSet.supported, Activation.allCases)
  func activationsOfEveryLengthAreRight(set: InstructionSet, activation: Activation) {
    for count in lengths {
      check(set, activation, randomFloats(count, seed: 20, in: -4...4), .activation)
    }
  }

  @Test(arguments: InstructionSet.supported, Activation.allCases)
  func activationsAreRightFarFromZero(set: InstructionSet, activation: Activation) {
    // Left of zero results are small, so they are held to a tolerance of their own.
    check(set, activation, (-600...(-1)).map { Float($0) / 20 }, .activation)
    check(set, activation, (1...600).map { Float($0) / 20 }, .activation)
    check(set, activation, [-1e30, -1000, -100, -87, -0.0, 0, 1e-30, -1e-30], .activation)
    check(set, activation, [87, 88, 100, 1000], .activation)
  }

  @Test(arguments: InstructionSet.supported)
  func exponentialIsRightToTwoUnitsInTheLastPlace(set: InstructionSet) {
    // With a scale of 1 and a sum of 1, probabilities are exponentials.
    let x = (-870...880).map { Float($0) / 10 }
    let stride = (x.count + 15) & ~15
    let y = Guarded(x + Array(repeating: 0, count: stride - x.count))
    let sum = Guarded([0])
    set.loops.causalProbabilities(
      y.pointer, rows: 1, columns: x.count, stride: stride, first: x.count, scale: 1,
      logSums: sum.pointer)
    let ratios = zip(y.values, x).map { Float(Double($0) / exp(Double($1))) }
    expectClose(ratios, Array(repeating: 1, count: x.count), .exponential, "exp")
    #expect(y.pointer[870] == 1)  // e^0
  }

  @Test(arguments: InstructionSet.supported)
  func exponentialStaysFiniteFarFromZero(set: InstructionSet) {
    let y = Guarded([-.infinity, -1e30, -100, 88, 100, 1e30] + Array(repeating: 0, count: 10))
    let sum = Guarded([0])
    set.loops.causalProbabilities(
      y.pointer, rows: 1, columns: 6, stride: 16, first: 6, scale: 1, logSums: sum.pointer)
    #expect(y.values[0..<3].allSatisfy { $0 >= 0 && $0 < 1e-37 })
    #expect(y.values[3..<6].allSatisfy { $0 > 1e38 && $0.isFinite })
  }

  @Test(arguments: InstructionSet.supported)
  func softplusKeepsSmallAndLargeNumbers(set: InstructionSet) {
    let x = [-100, -88, -40, -17, -1, -1e-4, 0, 1e-4, 1, 17, 40, 100].map { Float($0) }
    for count in 0...x.count {
      let (input, losses, derivatives) = (
        Guarded(Array(x.prefix(count))), Guarded(count: count), Guarded(count: count)
      )
      set.loops.softplus(
        input.pointer, losses: losses.pointer, derivatives: derivatives.pointer, count: count)
      for i in 0..<count {
        let v = Double(x[i])
        expectClose(
          [losses.pointer[i]], [max(v, 0) + log1p(exp(-abs(v)))], .softplus, "softplus(\(v))")
        expectClose(
          [derivatives.pointer[i]], [1 / (1 + exp(-v))], .softplus, "softplus'(\(v))")
      }
      #expect(losses.isIntact && derivatives.isIntact)
    }
  }
}
