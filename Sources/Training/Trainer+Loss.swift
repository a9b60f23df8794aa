import Autograd
import Interactions
import Kernels
import Models

/// What a step minimises.
extension Trainer {
  /// Returns scale times the sum of the losses of some states, or the weighted sum of those of all
  /// widths of a nested model. The softmax takes the widths all at once; other losses one by one.
  ///
  /// - Parameters:
  ///   - firstToken: numbers the states in their step, for negatives that are drawn for each.
  ///   - negatives: those that the step shares, where the loss shares them.
  func loss(
    _ hidden: Tensor, _ scorer: Scorer, _ examples: Examples, firstToken: Int,
    negatives: SharedNegatives?, scale: Float, on pass: Pass
  ) -> Tensor {
    let targets = examples.targets
    if options.loss == .softmax {
      return softmaxCrossEntropy(
        hidden, table: scorer.table, bias: scorer.bias, targets: targets,
        smoothing: options.labelSmoothing, seen: seen(examples), widths: widths, scale: scale,
        on: pass)
    }
    guard let widths else {
      return drawnLoss(hidden, scorer, targets, firstToken, negatives, scale, on: pass)
    }
    var sum: Tensor?
    for (size, weight) in zip(widths.sizes, widths.weights) where weight != 0 {
      let prefix = Scorer(table: scorer.table.block(columns: 0..<size), bias: scorer.bias)
      let own = drawnLoss(
        hidden.block(columns: 0..<size), prefix, targets, firstToken, negatives, weight * scale,
        on: pass)
      sum = sum.map { add($0, own, on: pass) } ?? own
    }
    return sum ?? Tensor([0], shape: [])
  }

  private func seen(_ examples: Examples) -> SeenItems? {
    guard options.seenMargin != 0 else { return nil }
    return SeenItems(
      margin: options.seenMargin, items: examples.batch.items, itemCount: model.itemCount,
      ranges: sampling.seen(examples))
  }

  /// The loss of a model of one width from items that are drawn.
  private func drawnLoss(
    _ hidden: Tensor, _ scorer: Scorer, _ targets: [Int32], _ firstToken: Int,
    _ negatives: SharedNegatives?, _ scale: Float, on pass: Pass
  ) -> Tensor {
    let (table, bias) = (scorer.table, scorer.bias)
    if let sharedLoss {
      guard let negatives else { preconditionFailure("a step draws what its samples share") }
      return sampledLoss(
        sharedLoss, hidden, table: table, bias: bias, targets: targets, negatives: negatives,
        scale: scale, on: pass)
    }
    guard let sampler else { preconditionFailure("only the softmax has no sampler") }
    var generator = CounterGenerator(
      seed: options.seed, step: drawStep, purpose: 16 + UInt64(firstToken))
    let drawn = sampler.draw(perRow: options.negatives, targets: targets, using: &generator)
    return binaryCrossEntropy(
      hidden, table: table, bias: bias, targets: targets, negatives: drawn, beta: beta,
      scale: scale, on: pass)
  }

  /// The loss whose negatives a step shares, if it is one.
  private var sharedLoss: SampledLoss? {
    switch options.loss {
    case .sampledSoftmax: .softmax
    case .bpr: .bpr
    case .top1: .top1
    case .bprMax: .bprMax(regularization: options.bprRegularization)
    case .softmax, .bce, .gbce: nil
    }
  }

  /// Draws the negatives that a step shares, where the loss shares them.
  func drawSharedNegatives(_ samples: [Sample]) -> SharedNegatives? {
    guard sharedLoss != nil, let sampler else { return nil }
    var generator = CounterGenerator(seed: options.seed, step: drawStep, purpose: 3)
    let (items, draws) = sampler.drawDistinct(options.negatives, using: &generator)
    if let targets = sampling.sharedTargets(samples) {
      // The authors of GRU4Rec correct nothing.
      let all = Set(targets).union(items).sorted()
      return SharedNegatives(
        items: all, logExpected: all.map { _ in 0 }, targetLogExpected: { _ in 0 })
    }
    return SharedNegatives(
      items: items, logExpected: items.map { sampler.logExpectedCount(of: $0, draws: draws) },
      targetLogExpected: { sampler.logExpectedCount(of: $0, draws: draws) })
  }

  /// Throws where the largest array of a group, which options decide on, does not fit: a group whose
  /// allocation fails stops the program.
  static func requireMemory(
    _ model: any SequentialModel, _ histories: Histories, _ options: TrainingOptions
  ) throws {
    // Not the table itself: some models would have to compute it.
    let tables = model.parameters().filter { $0.name.hasSuffix("embedding") }.map(\.value.columns)
    let dim = (model as? any NestedModel)?.sizes?.last ?? tables.max() ?? 1
    // A sample is never divided.
    let tokens = max(min(model.groupTokens, histories.items.count), model.paddedLength(1))
    // Gradients of the rows of negatives, and activations of a few layers.
    let each = [.bce, .gbce].contains(options.loss) ? 1 + options.negatives : 4
    let (bytes, isTooMuch) = (MemoryLayout<Float>.stride * tokens * dim)
      .multipliedReportingOverflow(by: each)
    try Buffer.require(bytes: isTooMuch ? .max : bytes)
  }

  /// gBCE's exponent: with a = negatives / (items - 1), b = a (t (1 - 1 / a) + 1 / a).
  private var beta: Float {
    guard options.loss == .gbce else { return 1 }
    let a = min(1, Double(options.negatives) / Double(max(1, model.itemCount - 1)))
    return Float(a * (options.gbceT * (1 - 1 / a) + 1 / a))
  }
}
