import VectorLoops

extension Loops {
  public func activate(
    _ x: Input, activation: Activation, scales: Input?, into y: Output, count: Int
  ) {
    switch activation {
    case .none: apply(x, scales, y, count) { x in x }
    case .relu: apply(x, scales, y, count) { x in larger(x, Vector.zero) }
    case .gelu: apply(x, scales, y, count) { x in x * normal(x).distribution }
    case .silu: apply(x, scales, y, count) { x in x * sigmoid(x) }
    }
  }

  public func activateBackward(
    x: Input, dy: Input, activation: Activation, scales: Input?, into dx: Output, count: Int
  ) {
    switch activation {
    case .none: applyBackward(x, dy, scales, dx, count) { _ in Vector(repeating: 1) }
    case .relu:
      applyBackward(x, dy, scales, dx, count) { x in
        Vector.zero.replacing(with: 1, where: x .> Vector.zero)
      }
    case .gelu:
      applyBackward(x, dy, scales, dx, count) { x in
        let (distribution, density) = normal(x)
        return fma(x, density, distribution)
      }
    case .silu:
      applyBackward(x, dy, scales, dx, count) { x in
        let s = sigmoid(x)
        return fma(x * s, 1 - s, s)
      }
    }
  }

  @_transparent
  func apply(
    _ x: Input, _ scales: Input?, _ y: Output, _ count: Int, _ f: (Vector) -> Vector
  ) {
    if let scales {
      map(x, scales, into: y, count: count) { x, s in s * f(x) }
    } else {
      map(x, into: y, count: count) { x in f(x) }
    }
  }

  @_transparent
  func applyBackward(
    _ x: Input, _ dy: Input, _ scales: Input?, _ dx: Output, _ count: Int,
    _ derivative: (Vector) -> Vector
  ) {
    if let scales {
      map(x, dy, scales, into: dx, count: count) { x, g, s in s * g * derivative(x) }
    } else {
      map(x, dy, into: dx, count: count) { x, g in g * derivative(x) }
    }
  }

  public func softplus(_ x: Input, losses: Output, derivatives: Output, count: Int) {
    // log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). The logarithm is the C library's: this loss meets
    // few numbers, and 1 + e^-|x| must not lose the small ones.
    for i in 0..<count {
      let small = scalarExponential(-abs(x[i]))
      losses[i] = max(x[i], 0) + logOnePlus(small)
      derivatives[i] = x[i] >= 0 ? 1 / (1 + small) : small / (1 + small)
    }
  }
}
