import Glibc
public import VectorLoops

/// The complex diagonal recurrence h[t] = lambda h[t - 1] + gamma b[t] over packed histories, with
/// lambda = exp(-exp(nu) + i exp(theta)) and gamma = exp(gamma log), channel by channel (Orvieto et
/// al., "Resurrecting recurrent neural networks for long sequences", ICML 2023).
///
/// A row holds `channels` real parts, then as many imaginary ones. Histories of more than 256 steps
/// are cut into chunks that are run without each other, so that no chain of steps is longer: each
/// chunk from zero, then the states between chunks, then what those add to the steps of the chunks.
public struct PackedRecurrence {
  public let channels: Int
  /// `offsets[s] ..< offsets[s + 1]` are the rows of history s.
  public let offsets: [Int]
  /// The steps of a chunk.
  private let chunk: Int
  private let nu: [Double]
  private let theta: [Double]
  /// Rows of coefficients, as the loops read them: lambda, its conjugate, both to the power of a
  /// chunk, gamma, and ones.
  private let coefficients: Buffer

  /// - Parameter chunk: histories of more than twice as many steps are cut into chunks.
  public init(
    nuLog: Input, thetaLog: Input, gammaLog: Input, channels: Int, offsets: [Int], chunk: Int = 128
  ) {
    check(chunk > 0, "a chunk has steps")
    self.channels = channels
    self.offsets = offsets
    self.chunk = chunk
    nu = (0..<channels).map { exp(Double(nuLog[$0])) }
    theta = (0..<channels).map { exp(Double(thetaLog[$0])) }
    coefficients = Buffer(count: 10 * channels)
    for c in 0..<channels {
      for (row, power) in [(0, 1), (4, Double(chunk))] {
        let size = exp(-nu[c] * power)
        let (re, im) = (Float(size * cos(theta[c] * power)), Float(size * sin(theta[c] * power)))
        for (part, number) in [re, im, re, -im].enumerated() {
          coefficients.pointer[(row + part) * channels + c] = number
        }
      }
      coefficients.pointer[8 * channels + c] = Float(exp(Double(gammaLog[c])))
      coefficients.pointer[9 * channels + c] = 1
    }
  }

  private func coefficient(_ row: Int) -> Input { Input(coefficients.pointer + row * channels) }
  private var gamma: Input { coefficient(8) }
  private var ones: Input { coefficient(9) }

  /// One way through time: the factor from step to step, and that from chunk to chunk.
  private struct Direction {
    let lambda: Input
    let power: Input
  }

  private var forwards: Direction { Direction(lambda: coefficient(0), power: coefficient(4)) }
  private var backwards: Direction { Direction(lambda: coefficient(2), power: coefficient(6)) }

  /// Runs every history from its row of `states`, which becomes its last state, or from zero.
  ///
  /// - Shapes: `b` and `h` are `[tokens, 2 channels]`, `states` is `[histories, 2 channels]`.
  public func forward(_ b: Matrix, states: Matrix? = nil, into h: Matrix) {
    forEachHistory { s, start, steps in
      let state = states.map { $0.pointer + s * $0.stride }
      let out = h.pointer + start * h.stride
      run(
        b.pointer + start * b.stride, gain: gamma, forwards, from: state.map { Input($0) },
        into: out, steps: steps, stride: b.stride, outputStride: h.stride)
      state?.update(from: out + (steps - 1) * h.stride, count: 2 * channels)
    }
  }

  /// Replaces the gradient of h by that of b, and adds those of the logarithms.
  ///
  /// - Shapes: `b`, `h` and `dh` are `[tokens, 2 channels]` without gaps; `dNuLog`, `dThetaLog` and
  ///   `dGammaLog` are `[channels]`.
  public func backward(
    b: Matrix, h: Matrix, dh: Matrix, dNuLog: Output, dThetaLog: Output, dGammaLog: Output
  ) {
    check(
      b.isContiguous && h.isContiguous && dh.isContiguous, "recurrence: a matrix has gaps")
    let width = 2 * channels
    let sums = Buffer(count: 3 * channels)
    loops.fill(sums.pointer, count: 3 * channels, value: 0)
    let (dLambda, dGain) = (sums.pointer, sums.pointer + width)
    forEachHistory { _, start, steps in
      let delta = dh.pointer + start * width
      // The influence of a state on later ones is the same recurrence, from the last step on.
      let last = delta + (steps - 1) * width
      run(
        last, gain: ones, backwards, from: nil, into: last, steps: steps, stride: -width,
        outputStride: -width)
      loops.linearRecurrenceBackward(
        delta: delta, b: b.pointer + start * width, h: h.pointer + start * width, gain: gamma,
        steps: steps, channels: channels, stride: width, dLambda: dLambda, dGain: dGain)
    }
    for c in 0..<channels {
      let (re, im) = (Double(dLambda[c]), Double(dLambda[channels + c]))
      let size = exp(-nu[c])
      let (p, q) = (size * cos(theta[c]), size * sin(theta[c]))
      dNuLog[c] -= Float(nu[c] * (re * p + im * q))
      dThetaLog[c] += Float(theta[c] * (im * p - re * q))
      dGammaLog[c] += gamma[c] * dGain[c]
    }
  }

  private func forEachHistory(_ body: (_ history: Int, _ start: Int, _ steps: Int) -> Void) {
    for s in 0..<(offsets.count - 1) where offsets[s + 1] > offsets[s] {
      body(s, offsets[s], offsets[s + 1] - offsets[s])
    }
  }

  /// Runs one history one way; rows are `stride` and `outputStride` floats apart.
  private func run(
    _ b: Input, gain: Input, _ direction: Direction, from state: Input?, into h: Output,
    steps: Int, stride: Int, outputStride: Int
  ) {
    let length = steps > 2 * chunk ? chunk : steps
    for start in Swift.stride(from: 0, to: steps, by: length) {
      loops.linearRecurrence(
        b + start * stride, lambda: direction.lambda, gain: gain, from: start == 0 ? state : nil,
        into: h + start * outputStride, steps: min(length, steps - start), channels: channels,
        stride: stride, outputStride: outputStride)
    }
    guard length < steps else { return }
    // The states after each chunk but the last: again a recurrence, whose inputs are the last rows
    // that the chunks found without each other.
    let chunks = (steps + length - 1) / length
    let carried = Buffer(count: (chunks - 1) * 2 * channels)
    loops.linearRecurrence(
      h + (length - 1) * outputStride, lambda: direction.power, gain: ones, from: nil,
      into: carried.pointer, steps: chunks - 1, channels: channels, stride: length * outputStride,
      outputStride: 2 * channels)
    for i in 1..<chunks {
      loops.addDecay(
        of: carried.pointer + (i - 1) * 2 * channels, lambda: direction.lambda,
        into: h + i * length * outputStride, steps: min(length, steps - i * length),
        channels: channels, stride: outputStride)
    }
  }
}
