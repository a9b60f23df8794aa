import Foundation
import Kernels
import Testing
import VectorLoops
import _TestSupport

@Suite struct LinearRecurrenceTests {
  /// A recurrence with the inputs, states and gradients of one run.
  private struct Run {
    let channels: Int
    let states: Guarded
    let dInputs: Guarded
    /// Those of nu, theta and gamma, one after the other.
    let dLogs: Guarded

    init(
      _ logs: [[Float]], b: [Float], dStates: [Float], offsets: [Int], chunk: Int
    ) {
      let channels = logs[0].count
      let recurrence = PackedRecurrence(
        nuLog: logs[0], thetaLog: logs[1], gammaLog: logs[2], channels: channels,
        offsets: offsets, chunk: chunk)
      let input = Guarded(b)
      let rows = b.count / (2 * channels)
      states = Guarded(count: b.count)
      dInputs = Guarded(dStates)
      dLogs = Guarded(count: 3 * channels, value: 0)
      self.channels = channels
      func matrix(_ numbers: Guarded) -> Matrix {
        Matrix(numbers.pointer, rows: rows, columns: 2 * channels)
      }
      recurrence.forward(matrix(input), into: matrix(states))
      recurrence.backward(
        b: matrix(input), h: matrix(states), dh: matrix(dInputs), dNuLog: dLogs.pointer,
        dThetaLog: dLogs.pointer + channels, dGammaLog: dLogs.pointer + 2 * channels)
    }
  }

  /// lambda = 0.5 i, gamma = 1, b = (1, 2, -1), y = Re((1 - 2 i) h), and the loss is the sum of y.
  @Test func theWorkedExampleComesOut() {
    let logs = [log(log(2)), log(Double.pi / 2), 0].map { [Float($0)] }
    let run = Run(
      logs, b: [1, 0, 2, 0, -1, 0], dStates: [1, 2, 1, 2, 1, 2], offsets: [0, 3], chunk: 128)
    let h = [1, 0, 2, 0.5, -1.25, 1]
    expectClose(run.states.values, h, .recurrence, "states")
    expectClose(run.dInputs.values, [1.75, 1, 2, 1.5, 1, 2], .recurrence, "gradient of b")
    // The factor g = 5 + 5 i of lambda gives -ln 2 * 2.5, -pi / 2 * 2.5 and 4.75.
    expectClose(
      run.dLogs.values, [-1.732_867_95, -3.926_990_82, 4.75], .recurrence, "gradients of logarithms"
    )
  }

  /// Lengths about a chunk of 16, up to many of them, packed together.
  @Test func chunksGiveWhatOneLoopGives() {
    let lengths = [1, 2, 3, 31, 32, 33, 0, 50, 64, 1000]
    let offsets = lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    let (channels, tokens) = (19, offsets[lengths.count])
    let logs = [
      randomFloats(channels, seed: 110, in: -5...0),
      randomFloats(channels, seed: 111, in: -4...1.8),
      randomFloats(channels, seed: 112, in: -2...0),
    ]
    let b = randomFloats(tokens * 2 * channels, seed: 113)
    let dStates = randomFloats(tokens * 2 * channels, seed: 114)
    func run(_ chunk: Int) -> Run {
      Run(logs, b: b, dStates: dStates, offsets: offsets, chunk: chunk)
    }
    let (whole, cut) = (run(1000), run(16))
    func doubles(_ x: Guarded) -> [Double] { x.values.map { Double($0) } }
    expectClose(cut.states.values, doubles(whole.states), .recurrence, "states")
    expectClose(cut.dInputs.values, doubles(whole.dInputs), .recurrence, "gradient of b")
    expectClose(cut.dLogs.values, doubles(whole.dLogs), .recurrenceGradient, "gradients of logs")
    #expect(cut.states.values != whole.states.values, "something was cut")
    #expect(cut.states.isIntact && cut.dInputs.isIntact && cut.dLogs.isIntact)
  }

  @Test func statesAreCarriedFromCallToCall() {
    let (channels, steps) = (5, 9)
    let logs = [115, 116, 117].map { randomFloats(channels, seed: $0, in: -1...0) }
    let b = randomFloats(2 * steps * 2 * channels, seed: 118)
    let zeros = b.map { _ in Float(0) }
    let whole = Run(logs, b: b, dStates: zeros, offsets: [0, steps, 2 * steps], chunk: 128)
    let step = PackedRecurrence(
      nuLog: logs[0], thetaLog: logs[1], gammaLog: logs[2], channels: channels, offsets: [0, 1, 2])
    // The states of two people are columns of wider rows.
    let states = Guarded(count: 2 * (2 * channels + 3), value: 0)
    let place = Matrix(states.pointer, rows: 2, columns: 2 * channels, stride: 2 * channels + 3)
    let rows = Guarded(count: 2 * 2 * channels)
    for t in 0..<steps {
      let inputs = [t, steps + t].flatMap { b[($0 * 2 * channels)...].prefix(2 * channels) }
      let input = Guarded(inputs)
      step.forward(
        Matrix(input.pointer, rows: 2, columns: 2 * channels), states: place,
        into: Matrix(rows.pointer, rows: 2, columns: 2 * channels))
      let expected = [t, steps + t].flatMap {
        whole.states.values[($0 * 2 * channels)...].prefix(2 * channels)
      }
      expectSameBits(rows.values, expected, "step \(t)")
    }
    #expect(states.values[(2 * channels)..<(2 * channels + 3)] == [0, 0, 0] && states.isIntact)
  }
}
