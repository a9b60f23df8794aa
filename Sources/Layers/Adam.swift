public import Autograd
import Glibc
import Kernels
import VectorLoops

/// Adam (Kingma and Ba, 2015), AdamW (Loshchilov and Hutter, 2019) and Adagrad (Duchi et al., 2011)
/// over a group of parameters.
public final class Adam {
  public enum Form: String, Sendable, CaseIterable {
    /// m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon).
    case torch
    /// sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon): epsilon stands beside the uncorrected
    /// moment.
    case tensorflow
    /// g / (sqrt(v) + epsilon), where v is the sum of all squares: Adagrad.
    case adagrad
  }

  public struct Configuration: Sendable {
    public var learningRate: Double = 1e-3
    public var beta1: Double = 0.9
    public var beta2: Double = 0.999
    public var epsilon: Double = 1e-8
    public var weightDecay: Double = 0
    /// Parameters whose names contain one of these are not decayed.
    public var undecayed: [String] = []
    /// AdamW: decay shrinks the weights instead of joining the gradient.
    public var isDecoupled = false
    public var form = Form.torch

    public init() {}
  }

  public let parameters: [NamedParameter]
  public let configuration: Configuration
  /// The steps taken.
  public private(set) var steps = 0
  private let first: [Tensor]
  private let second: [Tensor]

  public init(_ parameters: [NamedParameter], _ configuration: Configuration) {
    self.parameters = parameters
    self.configuration = configuration
    func zeros(_ parameter: NamedParameter) -> Tensor {
      let tensor = Tensor(shape: parameter.value.shape)
      tensor.matrix.zero()
      return tensor
    }
    first = parameters.map(zeros)
    second = parameters.map(zeros)
  }

  /// Moves every parameter that has a gradient.
  ///
  /// A parameter whose gradient the store keeps as rows, each once, moves in those rows only (the
  /// lazy form); all moments of a dense gradient decay, as in TensorFlow.
  ///
  /// - Parameter rate: multiplies the learning rate, for schedules.
  public func step(_ gradients: GradientStore, rate: Double = 1, workers: Int) {
    steps += 1
    let settings = parameters.map { self.settings(rate: rate, decays: decays($0)) }
    var tasks: [(parameter: Int, start: Int, count: Int)] = []
    let chunk = 1 << 14
    for (i, parameter) in parameters.enumerated() where gradients[parameter.value] != nil {
      for start in stride(from: 0, to: parameter.value.count, by: chunk) {
        tasks.append((i, start, min(chunk, parameter.value.count - start)))
      }
    }
    let dense = parameters.map { gradients[$0.value] }
    WorkerPool.run(tasks: tasks.count, workers: workers) { task in
      let (i, start, count) = tasks[task]
      guard let gradient = dense[i] else { return }
      loops.adam(
        parameters[i].value.pointer + start, gradient: gradient.pointer + start,
        first: first[i].pointer + start, second: second[i].pointer + start, count: count,
        step: settings[i])
    }
    for (i, parameter) in parameters.enumerated() where dense[i] == nil {
      stepRows(i, gradients.rowGradients(of: parameter.value), settings[i])
    }
  }

  private func decays(_ parameter: NamedParameter) -> Bool {
    !configuration.undecayed.contains { parameter.name.contains($0) }
  }

  /// Whether a step at this rate could carry finite weights past the largest float. Adam moves a
  /// weight by little more than the learning rate, so only an absurd rate or decay can.
  public func isTooLong(rate: Double) -> Bool {
    let length = configuration.learningRate * rate
    let shrink = configuration.isDecoupled ? abs(1 - length * configuration.weightDecay) : 1
    return length > 1e25 || shrink > 2
  }

  private func stepRows(_ i: Int, _ gradients: [RowGradient], _ step: AdamStep) {
    let columns = parameters[i].value.columns
    for part in gradients {
      for (r, row) in part.rows.enumerated() {
        let start = Int(row) * columns
        loops.adam(
          parameters[i].value.pointer + start, gradient: part.values.pointer + r * columns,
          first: first[i].pointer + start, second: second[i].pointer + start, count: columns,
          step: step)
      }
    }
  }

  private func settings(rate: Double, decays: Bool) -> AdamStep {
    let (c, t) = (configuration, Double(steps))
    let weightDecay = decays ? c.weightDecay : 0
    if c.form == .adagrad {
      return AdamStep(
        rate: Float(c.learningRate * rate), beta1: 0, beta2: 1, rest2: 1,
        epsilon: max(Float(c.epsilon), Float.leastNormalMagnitude), secondCorrection: 1,
        coupledDecay: Float(weightDecay), shrink: 1)
    }
    let correction1 = 1 - pow(c.beta1, t)
    let correction2 = 1 - pow(c.beta2, t)
    let learningRate = c.learningRate * rate
    let isTorch = c.form == .torch
    return AdamStep(
      rate: Float(learningRate / correction1 * (isTorch ? 1 : correction2.squareRoot())),
      beta1: Float(c.beta1), beta2: Float(c.beta2),
      // Never 0 / 0 where there was no gradient yet.
      epsilon: max(Float(c.epsilon), Float.leastNormalMagnitude),
      secondCorrection: isTorch ? Float(correction2) : 1,
      coupledDecay: c.isDecoupled ? 0 : Float(weightDecay),
      shrink: c.isDecoupled ? Float(1 - learningRate * weightDecay) : 1)
  }
}

extension GradientStore {
  /// The Euclidean length of the gradients of some parameters taken as one vector.
  public func norm(of parameters: [NamedParameter]) -> Double {
    var total = 0.0
    for parameter in parameters {
      if let gradient = self[parameter.value] {
        total += Double(loops.dot(gradient.pointer, gradient.pointer, count: gradient.count))
      }
      for part in rowGradients(of: parameter.value) {
        total += Double(
          loops.dot(part.values.pointer, part.values.pointer, count: part.values.count))
      }
    }
    return total.squareRoot()
  }

  /// Scales the gradients so that their norm is at most `limit`.
  public func clip(_ parameters: [NamedParameter], norm limit: Double) {
    let norm = norm(of: parameters)
    guard norm > limit else { return }
    let factor = Float(limit / norm)
    for parameter in parameters {
      let dense = self[parameter.value].map { [$0] } ?? []
      for gradient in dense + rowGradients(of: parameter.value).map(\.values) {
        loops.scale(
          gradient.pointer, alpha: factor, into: gradient.pointer, count: gradient.count)
      }
    }
  }

  /// The first parameter whose gradient holds NaN or infinity.
  public func firstNotFinite(_ parameters: [NamedParameter]) -> String? {
    parameters.first { parameter in
      let dense = self[parameter.value].map { [$0] } ?? []
      return (dense + rowGradients(of: parameter.value).map(\.values)).contains {
        !loops.allFinite($0.pointer, count: $0.count)
      }
    }?.name
  }
}
