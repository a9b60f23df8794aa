public typealias Input = UnsafePointer<Float>
public typealias Output = UnsafeMutablePointer<Float>

/// A pointwise non-linearity.
public enum Activation: String, Codable, Sendable, CaseIterable {
  /// The identity.
  case none
  case relu
  /// x Phi(x), with the exact normal distribution function (Hendrycks and Gimpel, 2016).
  case gelu
  /// x sigmoid(x).
  case silu
}

/// Names one stream of random numbers: equal keys give equal numbers on any number of threads.
public struct RandomKey: Sendable, Equatable {
  public var seed: UInt64
  public var step: UInt32
  public var op: UInt32

  public init(seed: UInt64, step: UInt32, op: UInt32) {
    self.seed = seed
    self.step = step
    self.op = op
  }
}

/// The settings of one Adam step. `rate` already holds the schedule and, in TensorFlow's form, the
/// bias corrections.
public struct AdamStep: Sendable {
  public var rate: Float
  public var beta1: Float
  public var beta2: Float
  public var epsilon: Float
  /// What a squared gradient counts in the second moment: 1 - beta2, or 1 where that is a sum.
  public var rest2: Float
  /// What the second moment is divided by before its root: 1 - beta2^t, or 1 in TensorFlow's form.
  public var secondCorrection: Float
  /// L2 added to the gradient.
  public var coupledDecay: Float
  /// What the weights shrink by first: 1 - rate * decay.
  public var shrink: Float

  public init(
    rate: Float, beta1: Float, beta2: Float, rest2: Float? = nil, epsilon: Float,
    secondCorrection: Float, coupledDecay: Float, shrink: Float
  ) {
    self.rate = rate
    self.beta1 = beta1
    self.beta2 = beta2
    self.rest2 = rest2 ?? 1 - beta2
    self.epsilon = epsilon
    self.secondCorrection = secondCorrection
    self.coupledDecay = coupledDecay
    self.shrink = shrink
  }
}

/// Loops over floats, compiled once for each instruction set.
///
/// Rows are contiguous unless a stride is named. `scales` is a dropout mask with the values 0 and
/// 1 / (1 - p), or nil. Outputs may be the same memory as inputs, never overlap them in part.
public protocol VectorLoops: SequenceLoops, Sendable {
  /// x[i] = value.
  func fill(_ x: Output, count: Int, value: Float)

  /// y[i] += alpha * x[i].
  func accumulate(_ x: Input, alpha: Float, into y: Output, count: Int)

  /// y[i] = alpha * x[i].
  func scale(_ x: Input, alpha: Float, into y: Output, count: Int)

  /// z[i] = x[i] + y[i].
  func add(_ x: Input, _ y: Input, into z: Output, count: Int)

  /// z[i] = x[i] * y[i].
  func multiply(_ x: Input, _ y: Input, into z: Output, count: Int)

  /// Returns the sum of x[i] * y[i].
  func dot(_ x: Input, _ y: Input, count: Int) -> Float

  /// Returns the sum of x[i].
  func total(_ x: Input, count: Int) -> Float

  /// Carries out a matrix product. `panel` is scratch of `MatrixProduct.panelCount` floats.
  func multiply(_ product: MatrixProduct, panel: Output)

  /// x[r, c] += bias[c], rows `stride` apart.
  func addBias(_ bias: Input, to x: Output, rows: Int, columns: Int, stride: Int)

  /// sums[c] += the sum over r of x[r, c], rows `stride` apart.
  func addColumnSums(of x: Input, into sums: Output, rows: Int, columns: Int, stride: Int)

  /// y = x + scales * z.
  func addResidual(_ x: Input, _ z: Input, scales: Input?, into y: Output, count: Int)

  /// y = activation(x) * scales.
  func activate(
    _ x: Input, activation: Activation, scales: Input?, into y: Output, count: Int)

  /// dx = dy * scales * activation'(x).
  func activateBackward(
    x: Input, dy: Input, activation: Activation, scales: Input?, into dx: Output, count: Int)

  /// y = (x - mean) / sqrt(variance + epsilon) * weight + bias for each row, with the biased
  /// variance. Rows of x and y are `stride` apart. Writes each row's mean and
  /// 1 / sqrt(variance + epsilon) to `means` and `inverses`, if wanted.
  func layerNorm(
    _ x: Input, weight: Input, bias: Input, epsilon: Float, rows: Int, columns: Int, stride: Int,
    into y: Output, means: Output?, inverses: Output?)

  /// Writes the gradient of `layerNorm` to `dx`, and adds those of the weight and the bias.
  func layerNormBackward(
    x: Input, dy: Input, weight: Input, means: Input, inverses: Input, rows: Int, columns: Int,
    stride: Int, into dx: Output, dWeight: Output, dBias: Output)

  /// Writes elu(x) / sqrt(sum(elu(x)^2) + epsilon) for each of the segments of `width` numbers that
  /// make up a row; rows of x are `stride` apart. Writes the factor of each segment to `inverses`.
  func unitELU(
    _ x: Input, rows: Int, segments: Int, width: Int, stride: Int, epsilon: Float, into y: Output,
    inverses: Output)

  /// Adds the gradient of `unitELU`, found from its results, to `dx`, whose rows are `stride` apart.
  func unitELUBackward(
    y: Input, inverses: Input, dy: Input, rows: Int, segments: Int, width: Int, into dx: Output,
    stride: Int)

  /// Turns a row of logits into its gradient, `scale * (softmax(z) - q)`, where q puts 1 -
  /// smoothing on the target and smoothing / count on every item. Returns -sum(q log softmax(z)).
  func crossEntropy(
    _ logits: Output, count: Int, target: Int, smoothing: Float, scale: Float
  ) -> Float

  /// Returns the sum of exp(x[i] - peak), and writes the largest x[i] to `peak`.
  func sumOfExponentials(_ x: Input, count: Int, peak: Output) -> Float

  /// The same, and replaces x by exp(x - peak).
  func exponentials(_ x: Output, count: Int, peak: Output) -> Float

  /// Replaces x by factor * exp(x - shift).
  func exponentials(_ x: Output, count: Int, shift: Float, factor: Float)

  /// Replaces each row of scores by softmax(scale * x) over its first `first + r + 1` columns and
  /// zeroes the rest; from `first` = `columns` on, every row is whole. Writes log(sum(exp(scale *
  /// x))) of each row to `logSums`.
  ///
  /// Rows stand `stride` apart, a multiple of 16 that is at least `columns`, and are zeroed up to
  /// there.
  func causalSoftmax(
    _ x: Output, rows: Int, columns: Int, stride: Int, first: Int, scale: Float, logSums: Output?)

  /// Replaces each row of scores by exp(scale * x - logSums[r]) over its first `first + r + 1`
  /// columns and zeroes the rest: what `causalSoftmax` gave, found again.
  func causalProbabilities(
    _ x: Output, rows: Int, columns: Int, stride: Int, first: Int, scale: Float, logSums: Input)

  /// dp[r, c] = scale * p[r, c] * (dp[r, c] - shifts[r]), rows `stride` apart as above.
  func softmaxBackward(
    p: Input, dp: Output, rows: Int, columns: Int, stride: Int, shifts: Input, scale: Float)

  /// Writes log(1 + exp(x[i])) to `losses` and sigmoid(x[i]) to `derivatives`.
  func softplus(_ x: Input, losses: Output, derivatives: Output, count: Int)

  /// Fills `scales` with 0 (probability p, rounded to 1 / 65536) or 1 / (1 - p), for the elements
  /// `start ..< start + count` of the stream that `key` names.
  ///
  /// Threefry-2x32 with 13 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
  /// 2011).
  func dropoutScales(
    _ scales: Output, start: Int, count: Int, key: RandomKey, probability: Float)

  /// One step of Adam (Kingma and Ba, 2015) in place.
  func adam(
    _ weights: Output, gradient: Input, first: Output, second: Output, count: Int,
    step: AdamStep)

  /// Returns how many of x[i] are above `value`, or equal to it with i < `index`.
  func countAbove(_ x: Input, count: Int, value: Float, index: Int) -> Int

  /// Returns the first i in `start ..< count` with x[i] > value, or `count`.
  func firstAbove(_ x: Input, start: Int, count: Int, value: Float) -> Int

  /// Returns a number that at least `k` of x[i] reach, for k up to 16, or -infinity: the k-th largest
  /// of the maxima of every 64th number.
  func reachedByLargest(_ k: Int, of x: Input, count: Int) -> Float

  /// Whether every x[i] is a finite number.
  func allFinite(_ x: Input, count: Int) -> Bool
}
