import VectorLoops

private struct SigmoidOfSum: Binary {
  @_transparent func callAsFunction(_ a: Vector, _ b: Vector) -> Vector { sigmoid(a + b) }
}

private struct GatedUpdate: Tile {
  let x, u, update: Input
  let reset: Input?
  let state, candidate: Output

  @inline(__always)
  func callAsFunction(_ lane: some Lane, _ c: Int) {
    var product = lane.read(u, c)
    if let reset { product = lane.read(reset, c) * product }
    let n = hyperbolicTangent(lane.read(x, c) + product)
    lane.write(n, candidate, c)
    lane.write(fma(lane.read(update, c), lane.read(state, c) - n, n), state, c)
  }
}

private struct GatedUpdatePullback: Tile {
  let update, candidate, before: Input
  let dState, dUpdate, dCandidate: Output

  @inline(__always)
  func callAsFunction(_ lane: some Lane, _ c: Int) {
    let (z, n, dh) = (lane.read(update, c), lane.read(candidate, c), lane.read(dState, c))
    let kept = z * dh
    lane.write((lane.read(before, c) - n) * kept * (1 - z), dUpdate, c)
    lane.write((dh - kept) * fma(-n, n, Vector(repeating: 1)), dCandidate, c)
    lane.write(kept, dState, c)
  }
}

private struct GatedProductPullback: Tile {
  let reset, u: Input
  let dProduct, dReset: Output

  @inline(__always)
  func callAsFunction(_ lane: some Lane, _ c: Int) {
    let r = lane.read(reset, c)
    let du = r * lane.read(dProduct, c)
    lane.write(lane.read(u, c) * du * (1 - r), dReset, c)
    lane.write(du, dProduct, c)
  }
}

extension Loops {
  public func sigmoidOfSum(_ a: Input, _ b: Input, into y: Output, count: Int) {
    map(SigmoidOfSum(), a, b, into: y, count: count)
  }

  public func gatedUpdate(
    x: Input, u: Input, reset: Input?, update: Input, state: Output, candidate: Output,
    count: Int
  ) {
    let f = GatedUpdate(
      x: x, u: u, update: update, reset: reset, state: state, candidate: candidate)
    forEachTile(of: count, f)
  }

  public func gatedUpdateBackward(
    update: Input, candidate: Input, before: Input, dState: Output, dUpdate: Output,
    dCandidate: Output, count: Int
  ) {
    let f = GatedUpdatePullback(
      update: update, candidate: candidate, before: before, dState: dState, dUpdate: dUpdate,
      dCandidate: dCandidate)
    forEachTile(of: count, f)
  }

  public func gatedProductBackward(
    reset: Input, u: Input, dProduct: Output, dReset: Output, count: Int
  ) {
    let f = GatedProductPullback(reset: reset, u: u, dProduct: dProduct, dReset: dReset)
    forEachTile(of: count, f)
  }
}
