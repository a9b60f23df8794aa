public import Kernels
public import VectorLoops

/// Records the pullbacks of ops and runs them backwards.
///
/// A pullback and everything it holds is released as soon as it has run. Gradients of parameters go
/// to `store`, which outlives the tape; those of intermediate results live only until they are
/// used.
public final class Tape {
  public let store: GradientStore
  private let local = GradientStore()
  private let wanted: Set<ObjectIdentifier>?
  private var pullbacks: [() -> Void] = []

  /// - Parameter wanted: the parameters that gradients are found for, or nil for all that are
  ///   trainable.
  public init(store: GradientStore = GradientStore(), wanted: [Tensor]? = nil) {
    self.store = store
    self.wanted = wanted.map { Set($0.map { ObjectIdentifier($0.owner) }) }
  }

  /// Whether gradients flow to `tensor`.
  public func wants(_ tensor: Tensor) -> Bool {
    guard tensor.needsGradient else { return false }
    guard tensor.isLeaf, let wanted else { return true }
    return wanted.contains(ObjectIdentifier(tensor.owner))
  }

  /// Makes the result of an op and records its pullback, which gets the gradient of the result.
  ///
  /// The pullback may overwrite or keep that gradient; nobody else uses it afterwards.
  func record(_ result: Tensor, _ pullback: @escaping (Tensor) -> Void) {
    result.needsGradient = true
    pullbacks.append { [local] in
      guard let gradient = local[result] else { return }
      local.remove(result)
      pullback(gradient)
    }
  }

  private func store(of tensor: Tensor) -> GradientStore { tensor.isLeaf ? store : local }

  func accumulate(_ tensor: Tensor, _ body: (Matrix, Float) -> Void) {
    guard wants(tensor) else { return }
    store(of: tensor).accumulate(tensor, body)
  }

  func add(to tensor: Tensor, _ body: (Matrix) -> Void) {
    guard wants(tensor) else { return }
    store(of: tensor).add(to: tensor, body)
  }

  func add(_ gradient: Tensor, to tensor: Tensor) {
    guard wants(tensor) else { return }
    store(of: tensor).add(gradient, to: tensor)
  }

  func add(_ values: Matrix, alpha: Float = 1, toRows rows: [Int32], of table: Tensor) {
    guard wants(table) else { return }
    rows.withUnsafeBufferPointer {
      store(of: table).add(values, alpha: alpha, toRows: $0, of: table)
    }
  }

  /// Finds the gradients of everything that `result` depends on. The tape is empty afterwards.
  ///
  /// - Parameter cotangent: the gradient with respect to `result`; ones where it is nil.
  public func backward(from result: Tensor, cotangent: [Float]? = nil) {
    let seed = Tensor(shape: result.shape)
    if let cotangent {
      precondition(cotangent.count == seed.count, "a cotangent has the shape of the result")
      for i in 0..<seed.count { seed.pointer[i] = cotangent[i] }
    } else {
      loops.fill(seed.pointer, count: seed.count, value: 1)
    }
    backward(from: result, gradient: seed)
  }

  /// The same with the gradient with respect to `result`, which must not be used afterwards.
  public func backward(from result: Tensor, gradient: Tensor) {
    add(gradient, to: result)
    while let pullback = pullbacks.popLast() { pullback() }
    local.removeAll()
  }
}

/// What a forward pass is for: the tape to record on, and the random numbers of dropout.
public final class Pass {
  public let tape: Tape?
  /// The number of the first token in its batch, so that random numbers do not depend on how a
  /// batch is divided.
  public let firstToken: Int
  /// The table of items that this step has computed, for models that read items from it.
  public let table: Tensor?
  /// What large matrix products round their factors to: those of maps, convolutions, gated
  /// recurrences and losses, backwards too.
  public let precision: Precision
  private let dropoutKey: RandomKey?
  /// Where dropouts differ from column to column.
  private let widths: NestedWidths?
  private var ops: UInt32

  /// A pass that neither records nor drops anything.
  public static let inference = Pass(tape: nil)

  /// - Parameters:
  ///   - dropoutKey: the seed and the step that dropout draws from; nil drops nothing.
  ///   - firstOp: the number of the first op; passes of one step must not share numbers.
  ///   - widths: those of a nested model, which may drop less in some columns than in others.
  ///   - precision: what large matrix products round their factors to.
  public init(
    tape: Tape?, dropoutKey: RandomKey? = nil, firstToken: Int = 0, firstOp: UInt32 = 0,
    table: Tensor? = nil, widths: NestedWidths? = nil, precision: Precision = .float32
  ) {
    self.tape = tape
    self.table = table
    self.precision = precision
    self.widths = widths.flatMap { $0.dropouts.allSatisfy { $0 == 1 } ? nil : $0 }
    self.dropoutKey = dropoutKey
    self.firstToken = firstToken
    ops = firstOp
  }

  /// A key of its own for each op that asks, or nil where nothing is dropped.
  func nextKey(probability: Float) -> RandomKey? {
    guard var key = dropoutKey else { return nil }
    ops += 1
    guard probability > 0 else { return nil }
    key.op = ops
    return key
  }

  /// The scales of a dropout of `tokens` rows, or nil where nothing is dropped.
  func dropoutScales(rows: Int, columns: Int, probability: Float) -> Buffer? {
    guard let key = nextKey(probability: probability) else { return nil }
    let scales = Buffer(count: rows * columns)
    guard let widths else {
      loops.dropoutScales(
        scales.pointer, start: firstToken * columns, count: rows * columns, key: key,
        probability: probability)
      return scales
    }
    let parts = widths.dropouts(of: columns)
    for row in 0..<rows {
      for (part, factor) in parts {
        loops.dropoutScales(
          scales.pointer + row * columns + part.lowerBound,
          start: (firstToken + row) * columns + part.lowerBound, count: part.count, key: key,
          probability: factor * probability)
      }
    }
    return scales
  }

  /// Whether nothing is recorded or dropped. Ops that serve single requests return early then: to
  /// make a pullback and a list of inputs takes as long as a small op.
  public var isInference: Bool { tape == nil && dropoutKey == nil }

  /// Makes a result of the given shape, and records the pullback where a gradient is wanted by any
  /// of `inputs`.
  func result(
    _ result: Tensor, of inputs: [Tensor], pullback: @escaping (Tape) -> (Tensor) -> Void
  ) -> Tensor {
    if let tape, inputs.contains(where: tape.wants) {
      // The tape owns its pullbacks, so they must not own the tape.
      tape.record(result) { [unowned tape] gradient in pullback(tape)(gradient) }
    }
    return result
  }
}
