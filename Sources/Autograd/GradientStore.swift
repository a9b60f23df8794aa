import Kernels

/// Gradients of some rows of a table.
public struct RowGradient {
  public let rows: [Int32]
  /// - Shapes: `[rows.count, columns]`
  public let values: Tensor
}

/// Gradients by tensor.
///
/// Each thread of a training step has a store of its own; `merge` adds them up in a fixed order, so
/// that sums do not depend on which thread was first.
public final class GradientStore {
  private var dense: [ObjectIdentifier: Tensor] = [:]
  private var sparse: [ObjectIdentifier: [RowGradient]] = [:]
  /// Sums of observed numbers, each as often as its weight, by the tensor that follows their mean.
  private var observations: [ObjectIdentifier: (sum: Tensor, weight: Float)] = [:]
  /// Tables whose gradients from row gathers are kept as rows.
  public var keepsRows: Set<ObjectIdentifier> = []

  public init() {}

  /// The dense gradient of `tensor`, or nil where nothing depends on it.
  public subscript(tensor: Tensor) -> Tensor? {
    get {
      guard let gradient = dense[ObjectIdentifier(tensor.owner)] else { return nil }
      if tensor.base == nil { return gradient }
      let view = tensor.view(in: gradient.matrix)
      let copy = Tensor(shape: tensor.shape)
      copy.matrix.copy(from: view)
      return copy
    }
    set { dense[ObjectIdentifier(tensor.owner)] = newValue }
  }

  /// The gradients of the rows of `tensor` that are kept as rows: of each row once after `merge`.
  public func rowGradients(of tensor: Tensor) -> [RowGradient] {
    sparse[ObjectIdentifier(tensor)] ?? []
  }

  /// Calls `body` with the place of the gradient and 0 where it must be written, 1 where it must be
  /// added to.
  func accumulate(_ tensor: Tensor, _ body: (Matrix, Float) -> Void) {
    let owner = tensor.owner
    let id = ObjectIdentifier(owner)
    if let gradient = dense[id] { return body(tensor.view(in: gradient.matrix), 1) }
    let gradient = Tensor(shape: owner.shape)
    dense[id] = gradient
    let rows = sparse.removeValue(forKey: id) ?? []
    if tensor.base == nil && rows.isEmpty { return body(gradient.matrix, 0) }
    gradient.matrix.zero()
    add(rows, to: owner)
    body(tensor.view(in: gradient.matrix), 1)
  }

  /// Calls `body` with the place of the gradient, to be added to.
  func add(to tensor: Tensor, _ body: (Matrix) -> Void) {
    accumulate(tensor) { place, beta in
      if beta == 0 { place.zero() }
      body(place)
    }
  }

  /// Adds a whole gradient, or keeps it where it is the first. `gradient` must not be used
  /// afterwards.
  func add(_ gradient: Tensor, to tensor: Tensor) {
    let id = ObjectIdentifier(tensor)
    if tensor.base == nil, dense[id] == nil, sparse[id] == nil {
      dense[id] = gradient
      return
    }
    add(to: tensor) { place in
      for r in 0..<place.rows {
        loops.accumulate(
          gradient.pointer + r * gradient.matrix.stride, alpha: 1,
          into: place.pointer + r * place.stride, count: place.columns)
      }
    }
  }

  /// Adds alpha times row i of `values` to row `rows[i]`.
  func add(
    _ values: Matrix, alpha: Float, toRows rows: UnsafeBufferPointer<Int32>, of table: Tensor
  ) {
    if keepsRows.contains(ObjectIdentifier(table)), dense[ObjectIdentifier(table)] == nil {
      let copy = Tensor(shape: [rows.count, values.columns])
      for r in 0..<rows.count {
        loops.scale(
          values.pointer + r * values.stride, alpha: alpha, into: copy.pointer + r * values.columns,
          count: values.columns)
      }
      sparse[ObjectIdentifier(table), default: []].append(
        RowGradient(rows: Array(rows), values: copy))
      return
    }
    add(to: table) { place in
      for r in 0..<rows.count {
        loops.accumulate(
          values.pointer + r * values.stride, alpha: alpha,
          into: place.pointer + Int(rows[r]) * place.stride, count: values.columns)
      }
    }
  }

  /// Adds rows to a dense gradient, or a step would miss them.
  private func add(_ parts: [RowGradient], to table: Tensor) {
    for part in parts {
      part.rows.withUnsafeBufferPointer {
        add(part.values.matrix, alpha: 1, toRows: $0, of: table)
      }
    }
  }

  /// Returns each row once, in ascending order, with the sum of its gradients.
  private func summed(_ parts: [RowGradient]) -> RowGradient {
    let rows = Set(parts.flatMap(\.rows)).sorted()
    let places = Dictionary(uniqueKeysWithValues: zip(rows, 0...))
    let values = Tensor(shape: [rows.count, parts[0].values.columns])
    values.matrix.zero()
    for part in parts {
      for (r, row) in part.rows.enumerated() {
        loops.accumulate(
          part.values.pointer + r * values.columns, alpha: 1,
          into: values.pointer + places[row, default: 0] * values.columns, count: values.columns)
      }
    }
    return RowGradient(rows: rows, values: values)
  }

  /// Takes numbers into the mean that `tensor` follows: statistics of a batch, which are no gradients
  /// but come and are added up like them.
  public func observe(_ numbers: Tensor, weight: Float, for tensor: Tensor) {
    observe(numbers, times: weight, weight: weight, for: tensor)
  }

  private func observe(_ numbers: Tensor, times: Float, weight: Float, for tensor: Tensor) {
    let id = ObjectIdentifier(tensor)
    if let (sum, old) = observations[id] {
      loops.accumulate(numbers.pointer, alpha: times, into: sum.pointer, count: sum.count)
      observations[id] = (sum, old + weight)
    } else {
      let sum = Tensor(shape: tensor.shape)
      loops.scale(numbers.pointer, alpha: times, into: sum.pointer, count: sum.count)
      observations[id] = (sum, weight)
    }
  }

  /// The mean of what was observed for `tensor`, or nil where nothing was.
  public func observed(for tensor: Tensor) -> Tensor? {
    guard let (sum, weight) = observations[ObjectIdentifier(tensor)] else { return nil }
    let mean = Tensor(shape: tensor.shape)
    loops.scale(sum.pointer, alpha: 1 / weight, into: mean.pointer, count: mean.count)
    return mean
  }

  func remove(_ tensor: Tensor) { dense[ObjectIdentifier(tensor)] = nil }

  public func removeAll() {
    dense.removeAll(keepingCapacity: true)
    sparse.removeAll(keepingCapacity: true)
    observations.removeAll(keepingCapacity: true)
  }

  /// Adds the gradients of `others`, in order, to this store's, on at most `workers` threads.
  public func merge(_ others: [GradientStore], of tensors: [Tensor], workers: Int) {
    var parts: [(target: Matrix, sources: [Matrix])] = []
    for tensor in tensors {
      let id = ObjectIdentifier(tensor)
      let found = others.compactMap { $0.dense[id] }
      var rows = sparse.removeValue(forKey: id) ?? []
      for other in others {
        rows += other.rowGradients(of: tensor)
        if let (sum, weight) = other.observations[id] {
          observe(sum, times: 1, weight: weight, for: tensor)
        }
      }
      var sources = found[...]
      if dense[id] == nil { dense[id] = sources.popFirst() }
      guard let target = dense[id] else {
        if !rows.isEmpty { sparse[id] = [summed(rows)] }
        continue
      }
      parts.append((target.matrix, sources.map(\.matrix)))
      add(rows, to: tensor)
    }
    let tasks = parts.flatMap { part in
      stride(from: 0, to: part.target.rows * part.target.columns, by: 1 << 14).map { (part, $0) }
    }
    WorkerPool.run(tasks: tasks.count, workers: workers) { task in
      let (part, start) = tasks[task]
      let count = min(1 << 14, part.target.rows * part.target.columns - start)
      for source in part.sources {
        loops.accumulate(
          source.pointer + start, alpha: 1, into: part.target.pointer + start, count: count)
      }
    }
  }
}
