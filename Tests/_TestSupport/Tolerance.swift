/// How far numbers may be from their reference. The only place that names tolerances: a test may
/// not invent one.
///
/// A difference may be `relative` times the largest reference number of the array, plus `absolute`.
/// Each is about four times the largest difference that was seen, over all instruction sets and the
/// kernels of OpenBLAS for Haswell and SkylakeX. The unit of rounding is 6e-8.
public struct Tolerance: Sendable {
  public let relative: Double
  public let absolute: Double

  private init(relative: Double = 0, absolute: Double = 0) {
    self.relative = relative
    self.absolute = absolute
  }

  // MARK: - Loops and ops

  /// One to three operations on each number.
  public static let rounding = Tolerance(relative: 2.5e-7)
  /// Sums of up to 1000 numbers, some in each of 16 lanes.
  public static let sums = Tolerance(relative: 6e-7)
  /// Matrix products, alone or before an activation.
  public static let products = Tolerance(relative: 2.5e-6)
  /// The normal distribution function is right to 1.5e-7; left of zero, results are small beside
  /// that.
  public static let activation = Tolerance(relative: 2e-6, absolute: 5e-7)
  /// Four units in the last place, for the ratio of an exponential to its reference.
  public static let exponential = Tolerance(absolute: 5e-7)
  /// Few operations on each number. The smallest results are denormal.
  public static let softplus = Tolerance(relative: 2.5e-7, absolute: 2e-45)
  /// Two passes over a row: mean and variance, then the result.
  public static let norms = Tolerance(relative: 8e-7)
  /// Rows of mean 300 lose 1.5e-5 of each number before anything is computed. A single column has
  /// the gradient zero but for rounding, times 1 / sqrt(epsilon).
  public static let normsFarFromZero = Tolerance(relative: 3e-5, absolute: 6e-5)
  /// The same where the numbers are few and differ by 0.2 alone, which the loss is divided by.
  public static let normsOfFewFarFromZero = Tolerance(relative: 2e-4, absolute: 4e-4)
  /// Exponentials over their sum.
  public static let softmax = Tolerance(relative: 8e-7, absolute: 2.5e-7)
  /// Exponentials of differences of numbers up to 20, whose rounding becomes a relative error.
  public static let probabilitiesFoundAgain = Tolerance(relative: 4e-6)
  /// Scores of a head, their softmax and a product.
  public static let attention = Tolerance(relative: 1e-6)
  /// A few products on each of up to 20 rows.
  public static let runningAverage = Tolerance(relative: 2e-6, absolute: 1e-6)
  /// A length, a quotient and a projection; a row of one number has the gradient zero but for
  /// rounding.
  public static let unitRows = Tolerance(relative: 2e-6, absolute: 2e-6)
  /// Sums over some hundred positions, whose terms cancel.
  public static let linearAttention = Tolerance(relative: 2e-6, absolute: 2e-6)
  /// Sums over some hundred products, each times up to 64 steps.
  public static let linearAttentionRates = Tolerance(relative: 1e-5, absolute: 1e-4)
  /// States that decay from step to step, each rounded.
  public static let recurrence = Tolerance(relative: 2e-6)
  /// Sums over 1000 steps of such states.
  public static let recurrenceGradient = Tolerance(relative: 4e-6)
  /// Two passes over a column, then a quotient; a column of one number has the gradient zero but for
  /// rounding.
  public static let batchNorm = Tolerance(relative: 4e-6, absolute: 2e-6)
  /// Sums of products of up to seven rows, from which old ones are taken away again.
  public static let biInteraction = Tolerance(relative: 2e-6, absolute: 2e-6)
  /// Steps of products, exponentials and quotients, each on the last one's result.
  public static let gatedRecurrence = Tolerance(relative: 4e-6, absolute: 1e-6)
  /// A few products and differences of numbers up to one.
  public static let gates = Tolerance(relative: 1e-6)
  /// A moving average, a root and a quotient in each of a few steps.
  public static let optimiser = Tolerance(relative: 1.2e-6)

  /// What steps of an optimiser add to weights of about one, each rounded.
  public static let differenceOfWeights = Tolerance(absolute: 4e-7)

  // MARK: - Losses and models

  /// Cross-entropy of one row, over its largest logit where that is above one.
  public static let lossOfARow = Tolerance(relative: 1.5e-6)
  /// Sums of cross-entropies; those of one item are zero but for rounding.
  public static let loss = Tolerance(relative: 4e-7, absolute: 1e-7)
  /// The same after some steps, which the weights carry further from the reference.
  public static let lossAfterSteps = Tolerance(relative: 3e-6)
  /// Gradients of losses with respect to states and items.
  public static let lossGradient = Tolerance(relative: 3e-6, absolute: 1e-7)
  /// Scores in the hundreds are right to 3e-5, and so are their exponentials.
  public static let lossGradientOfLargeScores = Tolerance(relative: 7e-6, absolute: 1e-7)
  /// States and scores of a few layers.
  public static let model = Tolerance(relative: 4e-6)
  /// Gradients of a few layers are sums of products of very different sizes.
  public static let modelGradient = Tolerance(relative: 4e-6, absolute: 1.5e-6)
  /// The same with linear attention, where the direction of a short query or key is less exact than
  /// its numbers.
  public static let linearModelGradient = Tolerance(absolute: 2e-5)
  /// Weights after one to three steps.
  public static let modelStep = Tolerance(absolute: 2e-6)
  /// A constant added to all keys changes nothing, so the gradient of their bias is rounding; Adam,
  /// which divides by the size of a gradient, moves it a little all the same.
  public static let keyBiasStep = Tolerance(absolute: 4e-6)

  // MARK: - Estimates

  /// Central differences of a sum of about 500 numbers.
  public static let finiteDifference = Tolerance(relative: 6e-4)
  /// The lengths of two very small steps, one over the other.
  public static let rateOfASchedule = Tolerance(absolute: 8e-4)
}
