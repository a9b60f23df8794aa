import VectorLoops

/// A gated recurrent unit over packed histories (Cho et al., "Learning phrase representations using
/// RNN encoder-decoder", EMNLP 2014): with the gates r and z, sigmoids of x + U h,
/// h[t] = (1 - z) n + z h[t - 1].
///
/// A row of x, U or the gates holds r, z and n side by side. Histories are sorted by length, so that
/// those that are still going on at a step are the first rows of one matrix, and each step is one
/// product with U.
public struct PackedGRU {
  /// Where the reset gate acts on the candidate n.
  public enum Form: String, Sendable, CaseIterable {
    /// n = tanh(x + r (U h)), as in RecBole and PyTorch.
    case recbole
    /// n = tanh(x + U (r h)), as in TensorFlow 1.
    case tensorflow
  }

  public let form: Form
  /// Numbers in a state.
  public let width: Int
  /// `offsets[s] ..< offsets[s + 1]` are the rows of history s.
  public let offsets: [Int]
  /// What states and weights are rounded to before they are multiplied, and gradients.
  public let precision: Precision
  /// The histories, the longest first.
  private let order: [Int]
  /// How many histories have a token at each step.
  private let active: [Int]

  public init(_ form: Form, width: Int, offsets: [Int], precision: Precision = .float32) {
    self.form = form
    self.precision = precision
    self.width = width
    self.offsets = offsets
    func length(_ s: Int) -> Int { offsets[s + 1] - offsets[s] }
    order = (0..<(offsets.count - 1)).sorted {
      length($0) == length($1) ? $0 < $1 : length($0) > length($1)
    }
    var active: [Int] = []
    for (i, s) in order.enumerated().reversed() {
      while active.count < length(s) { active.append(i + 1) }
    }
    self.active = active
  }

  /// What `backward` needs of each step: r, z and n, and U h of the candidate where r acts on that.
  public var gateWidth: Int { (form == .recbole ? 4 : 3) * width }

  /// The histories that go on at one step, the longest first.
  private struct Step {
    /// The token of each.
    let tokens: [Int]
    /// Their states, and products of those with U.
    let state: Matrix
    let u: Matrix
    let gates: Matrix
    /// Whether gates have a row for each token, or one for each history that goes on.
    let savesGates: Bool

    func forEachRow(
      _ body: (_ token: Int, _ gates: Output, _ u: Output, _ state: Output) -> Void
    ) {
      for (i, token) in tokens.enumerated() {
        body(
          token, gates.pointer + (savesGates ? token : i) * gates.stride, u.pointer + i * u.stride,
          state.pointer + i * state.stride)
      }
    }
  }

  /// The tokens of step t.
  private func tokens(_ t: Int) -> [Int] { order.prefix(active[t]).map { offsets[$0] + t } }

  /// Runs every history from its row of `states`, which becomes its last state, or from zero.
  ///
  /// - Shapes: `x` is `[tokens, 3 width]`, `weight` is `[3 width, width]`, `h` is
  ///   `[tokens, width]`, `states` is `[histories, width]`, `gates` is `[tokens, gateWidth]`.
  public func forward(
    _ x: Matrix, weight: Matrix, states: Matrix? = nil, into h: Matrix, gates: Matrix?
  ) {
    func rows(_ columns: Int) -> Matrix {
      Matrix(Buffer(count: order.count * columns), rows: order.count, columns: columns)
    }
    let (current, products, place) = (rows(width), rows(3 * width), gates ?? rows(gateWidth))
    if states == nil { current.zero() }
    for (i, s) in order.enumerated() {
      guard let states else { break }
      (current.pointer + i * width).update(from: states.pointer + s * states.stride, count: width)
    }
    for (t, count) in active.enumerated() {
      let step = Step(
        tokens: tokens(t), state: current.rows(0..<count), u: products.rows(0..<count),
        gates: place, savesGates: gates != nil)
      // A product with fresh states is zero.
      let isFresh = t == 0 && states == nil
      if isFresh { step.u.zero() }
      findGates(step, x, isFresh ? nil : weight)
      findStates(step, x, isFresh ? nil : weight, into: h)
    }
    for (i, s) in order.enumerated() {
      guard let states else { break }
      (states.pointer + s * states.stride).update(from: current.pointer + i * width, count: width)
    }
  }

  /// Writes r and z, and where r acts on the state, r h in the place of its product.
  private func findGates(_ step: Step, _ x: Matrix, _ weight: Matrix?) {
    if let weight {
      let maps = form == .recbole ? 3 * width : 2 * width
      gemm(
        step.state, weight.rows(0..<maps), transposeB: true,
        into: step.u.block(rows: step.u.rows, columns: maps), precision: precision)
    }
    step.forEachRow { token, gates, u, state in
      loops.sigmoidOfSum(x.pointer + token * x.stride, u, into: gates, count: 2 * width)
      if form == .recbole {
        (gates + 3 * width).update(from: u + 2 * width, count: width)
      } else {
        loops.multiply(gates, state, into: u, count: width)
      }
    }
  }

  /// Writes n and the new states.
  private func findStates(_ step: Step, _ x: Matrix, _ weight: Matrix?, into h: Matrix) {
    let candidate = 2 * width
    if let weight, form == .tensorflow {
      gemm(
        step.u.block(rows: step.u.rows, columns: width), weight.rows(candidate..<(3 * width)),
        transposeB: true, into: step.u.block(column: candidate, rows: step.u.rows, columns: width),
        precision: precision)
    }
    step.forEachRow { token, gates, u, state in
      loops.gatedUpdate(
        x: x.pointer + token * x.stride + candidate, u: u + candidate,
        reset: form == .recbole ? Input(gates) : nil, update: gates + width, state: state,
        candidate: gates + candidate, count: width)
      (h.pointer + token * h.stride).update(from: state, count: width)
    }
  }

  /// Finds the gradients of `forward`, none with respect to its first states. Overwrites the gates.
  ///
  /// - Parameters:
  ///   - states: what the states were at first; zeros where nil.
  ///   - weightBeta: 0 where `dWeight` is written, 1 where it is added to.
  /// - Shapes: as in `forward`; `dx` is as x, `dh` as h, `dWeight` as the weight.
  public func backward(
    weight: Matrix, states: Matrix? = nil, h: Matrix, gates: Matrix, dh: Matrix, into dx: Matrix,
    dWeight: Matrix?, weightBeta: Float
  ) {
    let before = self.before(h, states)
    let carried = Matrix(Buffer(count: order.count * width), rows: order.count, columns: width)
    carried.zero()
    let products = Matrix(
      Buffer(count: order.count * 3 * width), rows: order.count, columns: 3 * width)
    for (t, count) in active.enumerated().reversed() {
      // The gradients of the states and of their products with U, in the places of these.
      let step = Step(
        tokens: tokens(t), state: carried.rows(0..<count), u: products.rows(0..<count),
        gates: gates, savesGates: true)
      pullBackUpdate(step, before, dh: dh, into: dx)
      if form == .recbole {
        gemm(step.u, weight, into: step.state, beta: 1, precision: precision)
      } else {
        pullBackReset(step, weight, before, into: dx)
      }
    }
    if let dWeight { findWeightGradient(before, gates, dx: dx, into: dWeight, beta: weightBeta) }
  }

  /// The step from the new state to the update gate, the candidate and the state before, and where r
  /// acts on the product, to the reset gate.
  private func pullBackUpdate(_ step: Step, _ before: Matrix, dh: Matrix, into dx: Matrix) {
    let candidate = 2 * width
    step.forEachRow { token, gates, du, dState in
      let d = dx.pointer + token * dx.stride
      loops.add(dState, dh.pointer + token * dh.stride, into: dState, count: width)
      loops.gatedUpdateBackward(
        update: gates + width, candidate: gates + candidate,
        before: before.pointer + token * width, dState: dState, dUpdate: d + width,
        dCandidate: d + candidate, count: width)
      (du + width).update(from: d + width, count: 2 * width)
      guard form == .recbole else { return }
      // The gradient of U h takes its place, for that of the weight.
      let product = gates + 3 * width
      loops.gatedProductBackward(
        reset: gates, u: product, dProduct: du + candidate, dReset: d, count: width)
      du.update(from: d, count: width)
      product.update(from: du + candidate, count: width)
    }
  }

  /// The step from the candidate to the state before through r h, and from the gates. Leaves r h in
  /// the place of r, for the gradient of the weight.
  private func pullBackReset(_ step: Step, _ weight: Matrix, _ before: Matrix, into dx: Matrix) {
    let (count, candidate) = (step.u.rows, 2 * width)
    // The gradient of r h stands in the place of the reset gate's, which comes after it.
    gemm(
      step.u.block(column: candidate, rows: count, columns: width),
      weight.rows(candidate..<(3 * width)), into: step.u.block(rows: count, columns: width),
      precision: precision)
    step.forEachRow { token, gates, du, dState in
      let (d, old) = (dx.pointer + token * dx.stride, before.pointer + token * width)
      loops.gatedProductBackward(reset: gates, u: old, dProduct: du, dReset: d, count: width)
      loops.add(dState, du, into: dState, count: width)
      loops.multiply(gates, old, into: gates, count: width)
      du.update(from: d, count: width)
    }
    gemm(
      step.u.block(rows: count, columns: candidate), weight.rows(0..<candidate), into: step.state,
      beta: 1, precision: precision)
  }

  /// One product over all tokens for the gates, one for the candidate.
  private func findWeightGradient(
    _ before: Matrix, _ gates: Matrix, dx: Matrix, into dWeight: Matrix, beta: Float
  ) {
    let (rows, candidate) = (dx.rows, 2 * width)
    gemm(
      dx.block(rows: rows, columns: candidate), before, transposeA: true,
      into: dWeight.rows(0..<candidate), beta: beta, precision: precision)
    let (left, right) =
      form == .recbole
      ? (gates.block(column: 3 * width, rows: rows, columns: width), before)
      : (
        dx.block(column: candidate, rows: rows, columns: width),
        gates.block(rows: rows, columns: width)
      )
    gemm(
      left, right, transposeA: true, into: dWeight.rows(candidate..<(3 * width)), beta: beta,
      precision: precision)
  }

  /// The state before each token: the row before, or what it was at first.
  private func before(_ h: Matrix, _ states: Matrix?) -> Matrix {
    let result = Matrix(Buffer(count: h.rows * width), rows: h.rows, columns: width)
    for s in order where offsets[s + 1] > offsets[s] {
      let first = result.pointer + offsets[s] * width
      if let states {
        first.update(from: states.pointer + s * states.stride, count: width)
      } else {
        first.update(repeating: 0, count: width)
      }
      for row in (offsets[s] + 1)..<offsets[s + 1] {
        (result.pointer + row * width).update(
          from: h.pointer + (row - 1) * h.stride, count: width)
      }
    }
    return result
  }
}
