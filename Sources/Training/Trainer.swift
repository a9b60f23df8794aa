import Autograd
import Glibc
public import Interactions
import Kernels
import Layers
public import Models
import VectorLoops

/// Training met a number that is not finite. The weights are those before the step.
public struct Diverged: Error, Equatable {
  public let message: String
}

/// Trains a model on all positions of its histories.
///
/// A step deals its histories to a few lists, balanced by cost. Each list is one task: its
/// histories go through the model, the loss and back in groups that stay in a core's cache, and add
/// to a gradient store of the list's own. The stores are then added up in order. How histories are
/// dealt depends on the step alone, so equal seeds give equal bits on any number of threads.
public final class Trainer {
  /// Where training stands.
  public struct Progress: Equatable, Sendable {
    /// From 1.
    public var epoch: Int
    public var step: Int
    public var steps: Int
    public var tokens: Int
    /// Mean loss a position, this epoch so far.
    public var loss: Double
    public var isFinished: Bool
  }

  public let model: any SequentialModel
  public let options: TrainingOptions
  private let histories: Histories
  private let parameters: [NamedParameter]
  private let optimizer: Adam
  private let sampler: NegativeSampler?
  private let stores: [GradientStore]

  private var epoch = 0
  private var step = 0
  private var totalSteps = 0
  private var windows: [Window] = []
  private var tokens = 0
  private var lossSum = 0.0

  /// Tokens that go through the model together: few enough that what they leave behind stays in a
  /// core's cache.
  static let groupTokens = 512
  /// The most lists that a step is dealt to, and so the most threads that it can use.
  static let maximalLists = 8

  /// - Throws: `InvalidArgument` where no history has two items.
  public init(model: any SequentialModel, histories: Histories, options: TrainingOptions)
    throws(InvalidArgument)
  {
    self.model = model
    self.options = options
    self.histories = histories.copy()
    try require(
      (0..<histories.count).contains { histories.range($0).count > 1 },
      "training needs a history of at least two items")
    parameters = model.parameters()
    optimizer = Adam(parameters, options.adam)
    sampler =
      options.loss == .softmax
      ? nil
      : NegativeSampler(options.sampler, counts: histories.counts(itemCount: model.itemCount))
    stores = (0..<Self.maximalLists).map { _ in GradientStore() }
    if options.sparseGradients && options.loss != .softmax {
      let tables = parameters.map(\.value).filter { $0.rows == model.itemCount }
      for store in stores { store.keepsRows = Set(tables.map { ObjectIdentifier($0) }) }
    }
  }

  private var steps: Int { (windows.count + options.batchSize - 1) / options.batchSize }

  /// Trains at least one step, and on until the epoch is over or `seconds` have passed.
  ///
  /// - Throws: `Diverged`.
  public func advance(seconds: Double, workers: Int) throws -> Progress {
    if step == steps { beginEpoch() }
    let limit = Duration.seconds(min(max(seconds, 0), 1e6))
    let start = ContinuousClock.now
    repeat {
      let first = step * options.batchSize
      try train(Array(windows[first..<min(first + options.batchSize, windows.count)]), workers)
      step += 1
    } while step < steps && ContinuousClock.now - start < limit
    return Progress(
      epoch: epoch, step: step, steps: steps, tokens: tokens, loss: lossSum / Double(tokens),
      isFinished: step == steps)
  }

  private func beginEpoch() {
    epoch += 1
    let number = UInt64(options.firstEpoch + epoch)
    var generator = CounterGenerator(seed: options.seed, step: number, purpose: 2)
    windows = histories.windows(
      crop: options.crop, maximalLength: model.maximalLength, using: &generator)
    windows.shuffle(using: &generator)
    (step, tokens, lossSum) = (0, 0, 0)
  }

  private func train(_ batch: [Window], _ workers: Int) throws {
    let count = batch.reduce(0) { $0 + $1.tokens }
    let lists = deal(batch, tokens: count)
    let negatives = drawSharedNegatives()
    var losses = Array(repeating: 0.0, count: lists.count)
    losses.withUnsafeMutableBufferPointer { losses in
      let losses = losses
      WorkerPool.run(tasks: lists.count, workers: workers) { i in
        for group in lists[i] {
          losses[i] += run(
            group, store: stores[i], negatives: negatives, scale: 1 / Float(count))
        }
      }
    }
    let store = stores[0]
    defer { for store in stores { store.removeAll() } }
    store.merge(
      Array(stores[1..<max(1, lists.count)]), of: parameters.map(\.value), workers: workers)
    let loss = losses.reduce(0, +)
    try check(loss, store)
    if options.gradientClip > 0 { store.clip(parameters, norm: options.gradientClip) }
    optimizer.step(store, rate: rate(at: totalSteps), workers: workers)
    totalSteps += 1
    tokens += count
    lossSum += loss * Double(count)
  }

  /// Histories that go through the model together.
  private struct Group {
    var windows: [Window] = []
    var tokens = 0
    /// The number of its first token in the batch.
    var firstToken = 0
  }

  private func deal(_ batch: [Window], tokens: Int) -> [[Group]] {
    let lists = max(1, min(Self.maximalLists, tokens / 256))
    var firstToken = 0
    return balance(batch, lists: lists, cost: \.tokens).map { windows in
      var groups: [Group] = []
      for window in windows {
        if groups.isEmpty || groups[groups.count - 1].tokens + window.tokens > Self.groupTokens {
          groups.append(Group(firstToken: firstToken))
        }
        groups[groups.count - 1].windows.append(window)
        groups[groups.count - 1].tokens += window.tokens
        firstToken += window.tokens
      }
      return groups
    }
  }

  /// Adds the gradients of one group to `store` and returns its share of the batch's mean loss.
  private func run(
    _ group: Group, store: GradientStore, negatives: SharedNegatives?, scale: Float
  ) -> Double {
    var items: [Int32] = []
    var targets: [Int32] = []
    var offsets = [0]
    items.reserveCapacity(group.tokens)
    targets.reserveCapacity(group.tokens)
    for window in group.windows {
      let row = UnsafeBufferPointer(rebasing: histories.items[window.items])
      items += row.dropLast()
      targets += row.dropFirst()
      offsets.append(items.count)
    }
    let tape = Tape(store: store)
    let pass = Pass(
      tape: tape,
      dropoutKey: RandomKey(
        seed: options.seed,
        step: UInt32(truncatingIfNeeded: totalSteps &+ options.firstEpoch &* 1_000_003), op: 0),
      firstToken: group.firstToken)
    let hidden = model.encode(PackedBatch(items: items, offsets: offsets), on: pass)
    let loss = loss(hidden, targets, group.firstToken, negatives, scale, on: pass)
    tape.backward(from: loss)
    return Double(loss.pointer[0])
  }

  private func loss(
    _ hidden: Tensor, _ targets: [Int32], _ firstToken: Int, _ negatives: SharedNegatives?,
    _ scale: Float, on pass: Pass
  ) -> Tensor {
    let table = model.outputTable
    switch options.loss {
    case .softmax:
      return softmaxCrossEntropy(
        hidden, table: table, targets: targets, smoothing: options.labelSmoothing, scale: scale,
        on: pass)
    case .sampledSoftmax:
      guard let negatives else { preconditionFailure("sampled softmax draws for each batch") }
      return sampledSoftmaxCrossEntropy(
        hidden, table: table, targets: targets, negatives: negatives, scale: scale, on: pass)
    case .bce, .gbce:
      guard let sampler else { preconditionFailure("binary cross-entropy has a sampler") }
      var generator = CounterGenerator(
        seed: options.seed, step: drawStep, purpose: 16 + UInt64(firstToken))
      let drawn = sampler.draw(
        perRow: options.negatives, targets: targets, using: &generator)
      return binaryCrossEntropy(
        hidden, table: table, targets: targets, negatives: drawn, beta: beta, scale: scale,
        on: pass)
    }
  }

  private var drawStep: UInt64 { UInt64(totalSteps) &+ UInt64(options.firstEpoch) << 32 }

  private func drawSharedNegatives() -> SharedNegatives? {
    guard options.loss == .sampledSoftmax, let sampler else { return nil }
    var generator = CounterGenerator(seed: options.seed, step: drawStep, purpose: 3)
    let (items, draws) = sampler.drawDistinct(options.negatives, using: &generator)
    return SharedNegatives(
      items: items, logExpected: items.map { sampler.logExpectedCount(of: $0, draws: draws) },
      targetLogExpected: { sampler.logExpectedCount(of: $0, draws: draws) })
  }

  /// gBCE's exponent: with a = negatives / (items - 1), b = a (t (1 - 1 / a) + 1 / a).
  private var beta: Float {
    guard options.loss == .gbce else { return 1 }
    let a = min(1, Double(options.negatives) / Double(max(1, model.itemCount - 1)))
    return Float(a * (options.gbceT * (1 - 1 / a) + 1 / a))
  }

  private func check(_ loss: Double, _ store: GradientStore) throws {
    let place = "step \(step + 1) of epoch \(options.firstEpoch + epoch)"
    let weights = parameters.first { !loops.allFinite($0.value.pointer, count: $0.value.count) }
    if let weights {
      throw Diverged(message: "\(weights.name) is not finite at \(place)")
    }
    if let name = store.firstNotFinite(parameters) {
      throw Diverged(message: "the gradient of \(name) is not finite at \(place), loss \(loss)")
    }
    guard loss.isFinite else { throw Diverged(message: "the loss is \(loss) at \(place)") }
    if optimizer.isTooLong(rate: rate(at: totalSteps)) {
      throw Diverged(message: "the learning rate or the weight decay is too large at \(place)")
    }
  }

  private func rate(at step: Int) -> Double {
    if step < options.warmupSteps { return Double(step + 1) / Double(options.warmupSteps) }
    let end = max(options.warmupSteps + 1, options.totalEpochs * steps)
    let done = Double(step - options.warmupSteps) / Double(end - options.warmupSteps)
    switch options.schedule {
    case .constant: return 1
    case .linear: return max(0, 1 - done)
    case .cosine: return (1 + cos(.pi * min(1, done))) / 2
    }
  }
}
