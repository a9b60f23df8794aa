import Autograd
public import Interactions
import Kernels
import Layers
public import Models
import VectorLoops

/// Training met a number that is not finite. The weights are those before the step.
public struct Diverged: Error, Equatable {
  public let message: String
}

/// Trains a model to predict the items of histories.
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
    /// Positions that were predicted.
    public var tokens: Int
    /// Mean loss a position, this epoch so far; 0 before the first step is over.
    public var loss: Double
    public var isFinished: Bool
  }

  public let model: any SequentialModel
  public let options: TrainingOptions
  let sampling: Sampling
  private let parameters: [NamedParameter]
  private let optimizer: Adam
  let sampler: NegativeSampler?
  private let stores: [GradientStore]
  let widths: NestedWidths?

  private var epoch = 0
  private var step = 0
  private var totalSteps = 0
  private var batches: [ArraySlice<Window>] = []
  private var tokens = 0
  private var lossSum = 0.0
  private var pending: Step?

  /// The most lists that a step is dealt to, and so the most threads that it can use.
  static let maximalLists = 8

  /// - Throws: `InvalidArgument` where no history has two items, or the model cannot train as the
  ///   options say; `OutOfMemory` where a step needs more than there is.
  public init(model: any SequentialModel, histories: Histories, options: TrainingOptions) throws {
    self.model = model
    self.options = options
    let histories = histories.copy()
    sampling = try Sampling(options, model: model, histories: histories)
    try require(
      (0..<histories.count).contains { histories.range($0).count > 1 },
      "training needs a history of at least two items")
    try Self.requireMemory(model, histories, options)
    widths = try Self.widths(of: model, options)
    parameters = model.parameters()
    optimizer = Adam(parameters, options.adam)
    sampler =
      options.loss == .softmax
      ? nil
      : NegativeSampler(
        options.sampler, counts: histories.counts(itemCount: model.itemCount),
        power: options.samplerPower)
    stores = (0..<Self.maximalLists).map { _ in GradientStore() }
    if options.sparseGradients {
      let tables = parameters.map(\.value).filter { $0.rows >= model.itemCount }
      let kept = Set(tables.map { ObjectIdentifier($0) })
      for store in stores { store.keepsRows = kept }
    }
  }

  /// The widths that a nested model is trained at.
  private static func widths(of model: any SequentialModel, _ options: TrainingOptions)
    throws(InvalidArgument) -> NestedWidths?
  {
    var (weights, dropouts) = (options.sizeWeights, options.sizeDropout)
    guard let sizes = (model as? any NestedModel)?.sizes else {
      try require(weights.isEmpty, "size_weights are for nested models, and this is none")
      try require(dropouts.isEmpty, "size_dropout is for nested models, and this is none")
      return nil
    }
    if weights.isEmpty { weights = sizes.map { _ in 1 / Float(sizes.count) } }
    if dropouts.isEmpty { dropouts = sizes.map { _ in 1 } }
    try require(
      weights.count == sizes.count && weights.contains { $0 > 0 },
      "size_weights must be \(sizes.count) numbers, not all 0, got \(weights)")
    try require(
      dropouts.count == sizes.count && dropouts.allSatisfy { $0 <= 1 },
      "size_dropout must be \(sizes.count) numbers from 0 to 1, got \(dropouts)")
    return NestedWidths(sizes: sizes, weights: weights, dropouts: dropouts)
  }

  private var steps: Int { batches.count }

  /// Trains until the epoch is over or `seconds` have passed; a step that takes longer is left in
  /// its middle, for the next call to go on with. 0 seconds train one step.
  ///
  /// - Throws: `Diverged`.
  public func advance(seconds: Double, workers: Int) throws -> Progress {
    if step == steps { beginEpoch() }
    let end = ContinuousClock.now + Duration.seconds(min(max(seconds, 0), 1e6))
    repeat {
      var current = pending ?? prepareStep(workers)
      pending = nil
      run(&current, until: seconds > 0 ? end : nil, workers)
      if current.isComplete {
        try finish(current, workers)
        step += 1
      } else {
        pending = current
      }
    } while step < steps && ContinuousClock.now < end
    return Progress(
      epoch: epoch, step: step, steps: steps, tokens: tokens,
      loss: tokens == 0 ? 0 : lossSum / Double(tokens), isFinished: step == steps)
  }

  private func beginEpoch() {
    epoch += 1
    let number = UInt64(options.firstEpoch + epoch)
    var generator = CounterGenerator(seed: options.seed, step: number, purpose: 2)
    batches = sampling.epoch(using: &generator)
    (step, tokens, lossSum) = (0, 0, 0)
  }

  /// Histories that go through the model together.
  private struct Group {
    var samples: [Sample] = []
    var tokens = 0
    /// The number of its first token in the batch.
    var firstToken = 0
  }

  /// A step that is prepared, under way or done.
  private struct Step {
    let lists: [[Group]]
    let positions: Int
    let negatives: SharedNegatives?
    let scorer: Scorer
    let table: ComputedTable?
    var losses: [Double]
    var isDone: [Bool]

    var isComplete: Bool { isDone.allSatisfy { $0 } }
  }

  /// A table that a model computes is computed once a step: the lists take it for a leaf, and its
  /// gradient goes on through the tape that made it.
  private struct ComputedTable {
    let result: Tensor
    let leaf: Tensor
    let tape: Tape

    func passGradient(of store: GradientStore) {
      if let gradient = store[leaf] { tape.backward(from: result, gradient: gradient) }
    }
  }

  private func prepareStep(_ workers: Int) -> Step {
    var generator = CounterGenerator(seed: options.seed, step: drawStep, purpose: 4)
    let samples = sampling.samples(of: batches[step], step: step, using: &generator)
    let lists = deal(samples)
    let table = computeTable(workers)
    // On a tape, as models score with other items when nobody trains them.
    let scorer = model.scorer(on: Pass(tape: Tape(store: stores[0]), table: table?.leaf))
    return Step(
      lists: lists, positions: samples.reduce(0) { $0 + $1.positions },
      negatives: drawSharedNegatives(samples), scorer: scorer, table: table,
      losses: Array(repeating: 0, count: lists.count),
      isDone: Array(repeating: false, count: lists.count))
  }

  private func computeTable(_ workers: Int) -> ComputedTable? {
    let tape = Tape(store: stores[0])
    let pass = Pass(
      tape: tape, dropoutKey: dropoutKey, firstOp: 1 << 16, precision: options.precision)
    var result: Tensor?
    // One task, whose products all workers share.
    WorkerPool.run(tasks: 1, workers: workers) { _ in result = model.computeTable(on: pass) }
    return result.map { ComputedTable(result: $0, leaf: Tensor(leaf: $0), tape: tape) }
  }

  private func deal(_ samples: [Sample]) -> [[Group]] {
    let tokens = samples.reduce(0) { $0 + $1.tokens }
    let least = min(256, model.groupTokens / 2)
    // A power of two: a third list would leave one of two cores idle at the end of each step.
    let lists = min(Self.maximalLists, max(1, tokens / least).roundedDownToPowerOfTwo)
    var firstToken = 0
    return balance(samples, lists: lists, cost: \.tokens).map { samples in
      var groups: [Group] = []
      for sample in samples {
        if groups.isEmpty || groups[groups.count - 1].tokens + sample.tokens > model.groupTokens {
          groups.append(Group(firstToken: firstToken))
        }
        groups[groups.count - 1].samples.append(sample)
        groups[groups.count - 1].tokens += sample.tokens
        firstToken += sample.tokens
      }
      return groups
    }
  }

  /// Runs the lists that are left, one of them at least, and no new one after `end`.
  private func run(_ step: inout Step, until end: ContinuousClock.Instant?, _ workers: Int) {
    let left = step.isDone.indices.filter { !step.isDone[$0] }
    let (lists, scorer, table) = (step.lists, step.scorer, step.table?.leaf)
    let negatives = step.negatives
    let scale = 1 / Float(step.positions)
    step.losses.withUnsafeMutableBufferPointer { losses in
      step.isDone.withUnsafeMutableBufferPointer { isDone in
        let (losses, isDone) = (losses, isDone)
        WorkerPool.run(tasks: left.count, workers: workers) { task in
          if task > 0, let end, ContinuousClock.now >= end { return }
          let i = left[task]
          for group in lists[i] {
            losses[i] += run(
              group, store: stores[i], scorer: scorer, table: table, negatives: negatives,
              scale: scale)
          }
          isDone[i] = true
        }
      }
    }
  }

  /// Adds the lists' gradients up and moves the weights.
  private func finish(_ step: Step, _ workers: Int) throws {
    let store = stores[0]
    defer { for store in stores { store.removeAll() } }
    let computed = step.table.map { [$0.leaf] } ?? []
    store.merge(
      Array(stores[1..<max(1, step.lists.count)]), of: parameters.map(\.value) + computed,
      workers: workers)
    WorkerPool.run(tasks: 1, workers: workers) { _ in step.table?.passGradient(of: store) }
    let loss = step.losses.reduce(0, +)
    try check(loss, store)
    if options.gradientClip > 0 { store.clip(parameters, norm: options.gradientClip) }
    optimizer.step(store, rate: options.rate(at: totalSteps, steps: steps), workers: workers)
    store.moveRunningStatistics(parameters)
    model.weightsChanged()
    totalSteps += 1
    tokens += step.positions
    lossSum += loss * Double(step.positions)
  }

  private var dropoutKey: RandomKey {
    RandomKey(
      seed: options.seed,
      step: UInt32(truncatingIfNeeded: totalSteps &+ options.firstEpoch &* 1_000_003), op: 0)
  }

  /// Adds the gradients of one group to `store` and returns its share of the batch's mean loss.
  private func run(
    _ group: Group, store: GradientStore, scorer: Scorer, table: Tensor?,
    negatives: SharedNegatives?, scale: Float
  ) -> Double {
    let examples = sampling.examples(group.samples)
    let tape = Tape(store: store)
    let pass = Pass(
      tape: tape, dropoutKey: dropoutKey, firstToken: group.firstToken, table: table,
      widths: widths, precision: options.precision)
    let hidden = sampling.encode(examples, on: pass)
    let loss = loss(
      hidden, scorer, examples, firstToken: group.firstToken, negatives: negatives, scale: scale,
      on: pass)
    tape.backward(from: loss)
    return Double(loss.pointer[0])
  }

  /// Numbers the step for what is drawn in it.
  var drawStep: UInt64 { UInt64(totalSteps) &+ UInt64(options.firstEpoch) << 32 }

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
    if optimizer.isTooLong(rate: options.rate(at: totalSteps, steps: steps)) {
      throw Diverged(message: "the learning rate or the weight decay is too large at \(place)")
    }
  }
}

extension Int {
  /// The largest power of two that is not above this positive number.
  fileprivate var roundedDownToPowerOfTwo: Int {
    1 << (Int.bitWidth - 1 - leadingZeroBitCount)
  }
}
