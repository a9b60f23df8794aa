import Autograd
import Interactions
import Models

/// A stretch of a history in one step, and which of its items are hidden from the model.
struct Sample {
  let window: Window
  /// Places of `window.items` from its begin; for cloze.
  var hidden: [Int] = []
  /// For sessions.
  var turn: ParallelSessions.Turn?
  /// Whether the first item is a target too, behind what stands for the beginning.
  var begins = false
  /// Items that the model reads, with those that it pads.
  let tokens: Int
  /// Pairs of a state and a target.
  let positions: Int
}

/// Packed inputs, and the states that predict targets.
struct Examples {
  let batch: PackedBatch
  /// The token whose state predicts each target; nil where every state predicts one.
  let rows: [Int32]?
  let targets: [Int32]
  /// For sessions.
  let turns: [ParallelSessions.Turn]
}

/// Makes what a model trains on from histories.
struct Sampling {
  private enum Kind {
    case positions(any CausalModel, targets: Int)
    case prefixes
    case cloze(any MaskedModel, maskRatio: Double, lastRatio: Double, ofPrefixes: Bool)
    case sessions(ParallelSessions)
  }

  private let kind: Kind
  private let model: any SequentialModel
  private let histories: Histories
  private let crop: Crop
  private let batchSize: Int

  /// - Throws: `InvalidArgument` where the model cannot train on such samples.
  init(_ options: TrainingOptions, model: any SequentialModel, histories: Histories)
    throws(InvalidArgument)
  {
    self.model = model
    self.histories = histories
    crop = options.crop
    batchSize = options.batchSize
    let causal = model.isCausal ? model as? any CausalModel : nil
    let masked = model as? any MaskedModel
    func positions(_ model: any CausalModel) -> Kind { .positions(model, targets: options.targets) }
    func cloze(_ model: any MaskedModel, ofPrefixes: Bool = false) -> Kind {
      .cloze(
        model, maskRatio: options.maskRatio, lastRatio: options.lastRatio, ofPrefixes: ofPrefixes)
    }
    let users = histories.users.map { Int($0.max() ?? -1) + 1 } ?? histories.count
    try require(
      model.userCount == 0 || users <= model.userCount,
      "the model knows \(model.userCount) users, and there are histories of \(users)")
    switch (options.samples, causal, masked) {
    case (.automatic, let causal?, _), (.positions, let causal?, _): kind = positions(causal)
    case (.automatic, nil, let masked?), (.cloze, _, let masked?): kind = cloze(masked)
    case (.prefixes, _, let masked?): kind = cloze(masked, ofPrefixes: true)
    case (.automatic, nil, nil), (.prefixes, _, nil): kind = .prefixes
    case (.positions, nil, _):
      throw InvalidArgument(
        "samples \"positions\" need a causal model, and this one's states see what follows them")
    case (.cloze, _, nil):
      throw InvalidArgument("samples \"cloze\" need a model that fills gaps")
    case (.sessions, _, _):
      guard let model = model as? any SessionModel, let size = model.stateSize else {
        throw InvalidArgument("samples \"sessions\" need a model that trains item by item")
      }
      try require(
        options.seenMargin == 0, "seen_margin needs histories, and samples \"sessions\" are items")
      let slots = min(options.batchSize, histories.count)
      kind = .sessions(ParallelSessions(model: model, stateSize: size, slots: slots))
    }
    if case .positions = kind { return }
    try require(options.targets == 1, "targets above 1 need samples \"positions\"")
  }

  /// The targets of a batch, where they are each other's negatives.
  func sharedTargets(_ samples: [Sample]) -> [Int32]? {
    guard case .sessions = kind else { return nil }
    return samples.map { histories.items[$0.window.items.upperBound - 1] }
  }

  /// The windows of each step of one epoch.
  func epoch(using generator: inout CounterGenerator) -> [ArraySlice<Window>] {
    var windows: [Window]
    switch kind {
    case .positions:
      windows = histories.windows(
        crop: crop, maximalLength: model.maximalLength, using: &generator)
    case .prefixes, .cloze(_, _, _, ofPrefixes: true):
      windows = histories.prefixes(maximalLength: model.maximalLength)
    // The mask of a recommendation stands beside the newest items, so training has one more.
    case .cloze: windows = histories.whole(maximalLength: model.maximalLength + 1)
    case .sessions(let sessions):
      sessions.begin((0..<histories.count).map(histories.range).shuffled(using: &generator))
      return sessions.steps.map { $0.map(\.window)[...] }
    }
    windows.shuffle(using: &generator)
    return stride(from: 0, to: windows.count, by: batchSize).map {
      windows[$0..<min($0 + batchSize, windows.count)]
    }
  }

  /// The samples of one step of an epoch.
  func samples(
    of windows: ArraySlice<Window>, step: Int, using generator: inout CounterGenerator
  ) -> [Sample] {
    switch kind {
    case .sessions(let sessions):
      return sessions.steps[step].map {
        Sample(window: $0.window, turn: $0, tokens: 1, positions: 1)
      }
    case .positions(_, let targets):
      return windows.map { window in
        let n = window.tokens
        // The last states have fewer items after them.
        let missing = min(targets, n) - 1
        let positions =
          targets == 1 ? n : (n - missing) * (missing + 1) + missing * (missing + 1) / 2
        // As in the authors' code, where it takes the place of padding.
        let begins = model.beginItem != nil && n < model.maximalLength && isWhole(window)
        let extra = begins ? 1 : 0
        return Sample(
          window: window, begins: begins, tokens: n + extra, positions: positions + extra)
      }
    case .prefixes:
      return windows.map {
        Sample(window: $0, tokens: model.paddedLength($0.tokens), positions: 1)
      }
    case .cloze(_, let maskRatio, let lastRatio, _):
      let hidesLast = generator.uniform() < lastRatio
      let most = max(1, Int(maskRatio * Double(model.maximalLength)))
      return windows.map { window in
        let count = window.items.count
        var hidden = [count - 1]
        if !hidesLast {
          let drawn = (0..<count).filter { _ in generator.uniform() < maskRatio }
          // Nobody is without a gap, or short histories would mostly be read for nothing.
          hidden = drawn.isEmpty ? [Int.random(in: 0..<count, using: &generator)] : drawn
        }
        hidden = hidden.suffix(most)
        return Sample(window: window, hidden: hidden, tokens: count, positions: hidden.count)
      }
    }
  }

  func examples(_ samples: [Sample]) -> Examples {
    var items: [Int32] = []
    var offsets = [0]
    var rows: [Int32]?
    var targets: [Int32] = []
    var users: [Int32]?
    if model.userCount > 0 { users = samples.map { user(of: $0.window) } }
    items.reserveCapacity(samples.reduce(0) { $0 + $1.tokens })
    targets.reserveCapacity(samples.reduce(0) { $0 + $1.positions })
    for sample in samples {
      let row = UnsafeBufferPointer(rebasing: histories.items[sample.window.items])
      let first = items.count
      switch kind {
      case .positions(_, 1):
        items += row.dropLast()
        targets += row.dropFirst()
      case .positions(_, let count):
        items += row.dropLast()
        for t in 1..<row.count {
          let next = row[t..<min(row.count, t + count)]
          rows = (rows ?? []) + next.map { _ in Int32(first + t - 1) }
          targets += next
        }
      case .prefixes, .sessions:
        items += row.dropLast()
        targets.append(row[row.count - 1])
      case .cloze(let model, _, _, _):
        items += row
        for place in sample.hidden {
          items[first + place] = model.maskItem
          rows = (rows ?? []) + [Int32(first + place)]
          targets.append(row[place])
        }
      }
      if sample.begins, let begin = model.beginItem {
        // A history of its own, so that nothing is handed on.
        offsets.append(items.count)
        rows?.append(Int32(items.count))
        items.append(begin)
        targets.append(row[0])
      }
      offsets.append(items.count)
    }
    return Examples(
      batch: PackedBatch(items: items, offsets: offsets, users: users), rows: rows,
      targets: targets, turns: samples.compactMap(\.turn))
  }

  /// Whether a window begins where its history does.
  private func isWhole(_ window: Window) -> Bool {
    let start = window.items.lowerBound
    return histories.range(histories.row(of: start)).lowerBound == start
  }

  /// The number of a history, unless it says whose it is.
  private func user(of window: Window) -> Int32 {
    let row = histories.row(of: window.items.lowerBound)
    return histories.users?[row] ?? Int32(row)
  }

  /// Which items of the batch the state before each target has read.
  func seen(_ examples: Examples) -> [Range<Int>] {
    let offsets = examples.batch.offsets
    if case .prefixes = kind { return zip(offsets, offsets.dropFirst()).map { $0..<$1 } }
    var whole: [Range<Int>] = []  // the history of each token
    for (start, end) in zip(offsets, offsets.dropFirst()) {
      whole += repeatElement(start..<end, count: end - start)
    }
    let rows = examples.rows?.map { Int($0) } ?? Array(whole.indices)
    if case .positions = kind { return rows.map { whole[$0].lowerBound..<($0 + 1) } }
    return rows.map { whole[$0] }
  }

  /// The states that predict the targets of `examples`.
  func encode(_ examples: Examples, on pass: Pass) -> Tensor {
    let states: Tensor
    switch kind {
    case .positions(let model, _): states = model.encode(examples.batch, on: pass)
    case .prefixes: return model.encodeLast(examples.batch, on: pass)
    case .cloze(let model, _, _, _): states = model.encodeMasked(examples.batch, on: pass)
    case .sessions(let sessions):
      return sessions.encode(examples.batch.items, examples.turns, on: pass)
    }
    return examples.rows.map { gather(states, rows: $0, on: pass) } ?? states
  }
}
