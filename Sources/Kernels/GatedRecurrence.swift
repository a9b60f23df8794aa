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
  /// The histories, the longest first.
  private let order: [Int]
  /// How many histories have a token at each step.
  private let active: [Int]

  public init(_ form: Form, width: Int, offsets: [Int]) {
    self.form = form
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

  /// Runs every history from its row of `states`, which becomes its last state, or from zero.
  ///
  /// - Shapes: `x` is `[tokens, 3 width]`, `weight` is `[3 width, width]`, `h` is
  ///   `[tokens, width]`, `states` is `[histories, width]`, `gates` is `[tokens, gateWidth]`.
  public func forward(
    _ x: Matrix, weight: Matrix, states: Matrix? = nil, into h: Matrix, gates: Matrix?
  ) {
    let current = Buffer(count: order.count * width)
    let products = Buffer(count: order.count * 3 * width)
    let unsaved = gates == nil ? Buffer(count: order.count * gateWidth) : nil
    if let states {
      for (i, s) in order.enumerated() {
        (current.pointer + i * width).update(from: states.pointer + s * states.stride, count: width)
      }
    } else {
      loops.fill(current.pointer, count: current.count, value: 0)
    }
    for (t, count) in active.enumerated() {
      let state = Matrix(current, rows: count, columns: width)
      let u = Matrix(products, rows: count, columns: 3 * width)
      // A product with fresh states is zero.
      let isFresh = t == 0 && states == nil
      if isFresh { u.zero() }
      func forEachRow(_ body: (_ row: Int, _ gates: Output, _ u: Output, _ state: Output) -> Void) {
        for i in 0..<count {
          let row = offsets[order[i]] + t
          let saved = gates.map { $0.pointer + row * $0.stride }
          let place = saved ?? unsaved.map { $0.pointer + i * gateWidth }
          guard let place else { continue }
          body(row, place, u.pointer + i * u.stride, state.pointer + i * width)
        }
      }
      if !isFresh {
        let maps = form == .recbole ? 3 * width : 2 * width
        gemm(
          state, weight.block(rows: maps, columns: width), transposeB: true,
          into: u.block(rows: count, columns: maps))
      }
      forEachRow { row, gates, u, state in
        loops.sigmoidOfSum(x.pointer + row * x.stride, u, into: gates, count: 2 * width)
        if form == .recbole {
          (gates + 3 * width).update(from: u + 2 * width, count: width)
        } else {
          loops.multiply(gates, state, into: u, count: width)
        }
      }
      if form == .tensorflow && !isFresh {
        gemm(
          u.block(rows: count, columns: width),
          weight.block(row: 2 * width, rows: width, columns: width), transposeB: true,
          into: u.block(column: 2 * width, rows: count, columns: width))
      }
      forEachRow { row, gates, u, state in
        loops.gatedUpdate(
          x: x.pointer + row * x.stride + 2 * width, u: u + 2 * width,
          reset: form == .recbole ? Input(gates) : nil, update: gates + width, state: state,
          candidate: gates + 2 * width, count: width)
        (h.pointer + row * h.stride).update(from: state, count: width)
      }
    }
    guard let states else { return }
    for (i, s) in order.enumerated() {
      (states.pointer + s * states.stride).update(from: current.pointer + i * width, count: width)
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
    let carried = Buffer(count: order.count * width)
    loops.fill(carried.pointer, count: carried.count, value: 0)
    let products = Buffer(count: order.count * 3 * width)
    for (t, count) in active.enumerated().reversed() {
      let dState = Matrix(carried, rows: count, columns: width)
      let du = Matrix(products, rows: count, columns: 3 * width)
      for i in 0..<count {
        let row = offsets[order[i]] + t
        let (gate, d) = (gates.pointer + row * gates.stride, dx.pointer + row * dx.stride)
        let (state, product) = (dState.pointer + i * width, du.pointer + i * du.stride)
        loops.add(state, dh.pointer + row * dh.stride, into: state, count: width)
        loops.gatedUpdateBackward(
          update: gate + width, candidate: gate + 2 * width,
          before: before.pointer + row * width, dState: state, dUpdate: d + width,
          dCandidate: d + 2 * width, count: width)
        (product + width).update(from: d + width, count: 2 * width)
        if form == .recbole {
          loops.gatedProductBackward(
            reset: gate, u: gate + 3 * width, dProduct: product + 2 * width, dReset: d,
            count: width)
          product.update(from: d, count: width)
          (gate + 3 * width).update(from: product + 2 * width, count: width)
        }
      }
      if form == .recbole {
        gemm(du, weight, into: dState, beta: 1)
      } else {
        pullBackReset(t, weight, before, gates, dx: dx, du: du, dState: dState)
      }
    }
    guard let dWeight else { return }
    let candidate = 2 * width
    gemm(
      dx.block(rows: dx.rows, columns: candidate), before, transposeA: true,
      into: dWeight.block(rows: candidate, columns: width), beta: weightBeta)
    let ofCandidate = dWeight.block(row: candidate, rows: width, columns: width)
    if form == .recbole {
      // What came after the reset gate was left in the place of what it acted on.
      gemm(
        gates.block(column: 3 * width, rows: dx.rows, columns: width), before, transposeA: true,
        into: ofCandidate, beta: weightBeta)
    } else {
      gemm(
        dx.block(column: candidate, rows: dx.rows, columns: width),
        gates.block(rows: dx.rows, columns: width), transposeA: true, into: ofCandidate,
        beta: weightBeta)
    }
  }

  /// The step from the candidate to the state before, through r h, and from the gates. Leaves r h in
  /// the place of r.
  private func pullBackReset(
    _ t: Int, _ weight: Matrix, _ before: Matrix, _ gates: Matrix, dx: Matrix, du: Matrix,
    dState: Matrix
  ) {
    let (count, gateColumns) = (dState.rows, 2 * width)
    // The product's place is that of the reset gate's gradient, which comes after it.
    let product = du.block(rows: count, columns: width)
    gemm(
      du.block(column: gateColumns, rows: count, columns: width),
      weight.block(row: gateColumns, rows: width, columns: width), into: product)
    for i in 0..<count {
      let row = offsets[order[i]] + t
      let (gate, old) = (gates.pointer + row * gates.stride, before.pointer + row * width)
      let (d, place) = (dx.pointer + row * dx.stride, product.pointer + i * product.stride)
      loops.gatedProductBackward(
        reset: gate, u: old, dProduct: place, dReset: d, count: width)
      let state = dState.pointer + i * width
      loops.add(state, place, into: state, count: width)
      loops.multiply(gate, old, into: gate, count: width)
      place.update(from: d, count: width)
    }
    gemm(
      du.block(rows: count, columns: gateColumns),
      weight.block(rows: gateColumns, columns: width), into: dState, beta: 1)
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
