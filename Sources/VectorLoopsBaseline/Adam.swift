import VectorLoops

extension Loops {
  public func adam(
    _ weights: Output, gradient: Input, first: Output, second: Output, count: Int,
    step: AdamStep
  ) {
    let beta1 = Vector(repeating: step.beta1)
    let beta2 = Vector(repeating: step.beta2)
    let rest1 = Vector(repeating: 1 - step.beta1)
    let rest2 = Vector(repeating: step.rest2)
    let epsilon = Vector(repeating: step.epsilon)
    let correction = Vector(repeating: 1 / step.secondCorrection.squareRoot())
    let rate = Vector(repeating: -step.rate)
    let decay = Vector(repeating: step.coupledDecay)
    let shrink = Vector(repeating: step.shrink)
    @_transparent
    func update(_ w: Vector, _ g: Vector, _ m: Vector, _ v: Vector) -> (Vector, Vector, Vector) {
      let g = fma(decay, w, g)
      let m = fma(rest1, g, beta1 * m)
      let v = fma(rest2 * g, g, beta2 * v)
      let direction = m / fma(squareRoot(v), correction, epsilon)
      return (fma(rate, direction, w * shrink), m, v)
    }
    let whole = count & ~(lanes - 1)
    var i = 0
    while i < whole {
      let (w, m, v) = update(load(weights, i), load(gradient, i), load(first, i), load(second, i))
      store(w, weights, i)
      store(m, first, i)
      store(v, second, i)
      i += lanes
    }
    if i < count {
      let (w, m, v) = update(
        loadPart(weights, i, count), loadPart(gradient, i, count), loadPart(first, i, count),
        loadPart(second, i, count))
      storePart(w, weights, i, count)
      storePart(m, first, i, count)
      storePart(v, second, i, count)
    }
  }
}
