import Glibc
public import Interactions
public import Kernels
public import Layers

/// How a model is trained.
public struct TrainingOptions: Sendable {
  public enum Loss: String, Sendable, CaseIterable {
    /// Cross-entropy over all items.
    case softmax
    /// Cross-entropy over negatives that a batch shares, corrected for how often they are drawn.
    case sampledSoftmax = "sampled_softmax"
    /// Binary cross-entropy with negatives for each position.
    case bce
    /// Generalised binary cross-entropy (Petrov and Macdonald, RecSys 2023).
    case gbce
    /// Pairs of the target and negatives that a batch shares: see `SampledLoss`.
    case bpr
    case top1
    case bprMax = "bpr_max"
  }

  /// What a model is asked to predict.
  public enum Samples: String, Sendable, CaseIterable {
    /// What the model does best: all positions where it is causal, else gaps where it fills gaps,
    /// else prefixes.
    case automatic = "auto"
    /// After each item of a history the next one.
    case positions
    /// The last item of each prefix of a history, one sample a prefix (RecBole); of models that
    /// fill gaps, gaps of each prefix.
    case prefixes
    /// Items that are hidden from the model (Sun et al., "BERT4Rec", CIKM 2019).
    case cloze
    /// After each item the next one, many sessions side by side: see `ParallelSessions`.
    case sessions
  }

  public enum Schedule: String, Sendable, CaseIterable {
    case constant
    /// Falls in a line to 0 at the last step.
    case linear
    /// Falls along a half cosine to 0 at the last step.
    case cosine
  }

  public var samples = Samples.automatic
  /// How many of the items that follow a position it predicts (Caser).
  public var targets = 1
  /// The share of items that are hidden, and of batches that hide the last item alone, for cloze.
  public var maskRatio = 0.2
  public var lastRatio = 0.5
  public var loss = Loss.softmax
  public var negatives = 256
  public var gbceT = 0.75
  public var sampler = NegativeSampler.Distribution.uniform
  /// The power of how often an item occurs that the popularity sampler draws in proportion to.
  public var samplerPower = 1.0
  /// The weight of the squared scores in BPR-max.
  public var bprRegularization: Float = 1
  public var labelSmoothing: Float = 0
  /// What the softmax adds to the scores of the items that were read, the target apart.
  public var seenMargin: Float = 0
  /// How much the loss of each width of a nested model counts; none for equal shares.
  public var sizeWeights: [Float] = []
  /// What a nested model's dropouts are multiplied by in the channels that each width adds; none
  /// for 1.
  public var sizeDropout: [Float] = []
  /// Histories in one step.
  public var batchSize = 128
  public var crop = Crop.last
  public var adam = Adam.Configuration()
  /// The largest norm of the gradient; 0 does not clip.
  public var gradientClip = 0.0
  public var schedule = Schedule.constant
  /// Steps over which the learning rate rises from 0.
  public var warmupSteps = 0
  /// What the schedule takes to be the end.
  public var totalEpochs = 1
  public var seed: UInt64 = 0
  /// The number of epochs that earlier trainers of this model have had: epochs draw other numbers.
  public var firstEpoch = 0
  /// What the large matrix products of a step round their factors to.
  public var precision = Precision.float32
  /// Whether gradients of item tables are kept as rows, with lazy Adam; for losses of sampled items
  /// over very many items.
  public var sparseGradients = false

  public init() {}

  /// Reads the fields of a JSON object, named in snake case.
  public init(_ fields: inout Fields) throws(InvalidArgument) {
    samples = try fields.choice("samples", default: samples)
    targets = try fields.integer("targets", default: targets, in: 1...1000)
    maskRatio = try fields.number("mask_ratio", default: maskRatio, from: 0, to: 1)
    lastRatio = try fields.number("last_ratio", default: lastRatio, from: 0, to: 1, isClosed: true)
    loss = try fields.choice("loss", default: loss)
    negatives = try fields.integer("negatives", default: negatives, in: 1...1_000_000)
    gbceT = try fields.number("gbce_t", default: gbceT, from: 0, to: 1, isClosed: true)
    sampler = try fields.choice("sampler", default: sampler)
    samplerPower = try fields.number("sampler_power", default: 1, from: 0, to: 10)
    bprRegularization = try fields.float("bpr_regularization", default: 1, from: 0)
    labelSmoothing = try fields.float("label_smoothing", default: 0, from: 0, to: 1)
    seenMargin = Float(
      try fields.number("seen_margin", default: 0, from: -100, to: 100, isClosed: true))
    sizeWeights = try fields.floats("size_weights", from: 0)
    sizeDropout = try fields.floats("size_dropout", from: 0)
    batchSize = try fields.integer("batch_size", default: batchSize, in: 1...Int(Int32.max))
    crop = try fields.choice("crop", default: crop)
    enum Optimizer: String, CaseIterable { case adam, adamw, adagrad }
    let optimizer = try fields.choice("optimizer", default: Optimizer.adam)
    adam.isDecoupled = optimizer == .adamw
    enum Form: String, CaseIterable { case torch, tensorflow }
    let form = try fields.choice("adam_form", default: Form.torch)
    adam.form = optimizer == .adagrad ? .adagrad : form == .torch ? .torch : .tensorflow
    adam.learningRate = try fields.number("learning_rate", default: 1e-3, from: 0)
    adam.beta1 = try fields.number("beta1", default: 0.9, from: 0, to: 1)
    adam.beta2 = try fields.number("beta2", default: 0.999, from: 0, to: 1)
    adam.epsilon = try fields.number("epsilon", default: 1e-8, from: 0)
    adam.weightDecay = try fields.number("weight_decay", default: 0, from: 0)
    adam.undecayed = try fields.texts("undecayed")
    gradientClip = try fields.number("gradient_clip", default: 0, from: 0)
    schedule = try fields.choice("schedule", default: schedule)
    warmupSteps = try fields.integer("warmup_steps", default: 0, in: 0...Int.max)
    totalEpochs = try fields.integer("total_epochs", default: 1, in: 1...Int(Int32.max))
    seed = try fields.seed("seed")
    firstEpoch = try fields.integer("first_epoch", default: 0, in: 0...Int(Int32.max))
    precision = try fields.choice("precision", default: precision)
    sparseGradients = try fields.flag("sparse_gradients", default: false)
    try require(
      loss == .softmax || labelSmoothing == 0,
      "label_smoothing needs loss \"softmax\", got loss \"\(loss.rawValue)\"")
    try require(
      loss == .softmax || seenMargin == 0,
      "seen_margin needs loss \"softmax\", got loss \"\(loss.rawValue)\"")
    try require(
      seenMargin >= 0 || labelSmoothing == 0,
      "label_smoothing wants probability for all items, so seen_margin must not be below 0")
    try require(
      loss != .softmax || !sparseGradients,
      "sparse_gradients needs a loss of sampled items, got loss \"softmax\"")
  }

  /// What the learning rate is multiplied by at a step, counted from 0 over all epochs, of which
  /// each has `steps`.
  func rate(at step: Int, steps: Int) -> Double {
    if step < warmupSteps { return Double(step + 1) / Double(warmupSteps) }
    let end = max(warmupSteps + 1, totalEpochs * steps)
    let done = Double(step - warmupSteps) / Double(end - warmupSteps)
    switch schedule {
    case .constant: return 1
    case .linear: return max(0, 1 - done)
    case .cosine: return (1 + cos(.pi * min(1, done))) / 2
    }
  }
}
