import VectorLoops

/// An activation and its derivative.
protocol Differentiable {
  static func value(_ x: Vector) -> Vector
  static func derivative(_ x: Vector) -> Vector
}

enum Identity: Differentiable {
  @_transparent static func value(_ x: Vector) -> Vector { x }
  @_transparent static func derivative(_ x: Vector) -> Vector { Vector(repeating: 1) }
}

enum ReLU: Differentiable {
  @_transparent static func value(_ x: Vector) -> Vector { larger(x, Vector.zero) }
  @_transparent static func derivative(_ x: Vector) -> Vector {
    Vector.zero.replacing(with: 1, where: x .> Vector.zero)
  }
}

enum GELU: Differentiable {
  @_transparent static func value(_ x: Vector) -> Vector { x * normal(x).distribution }
  @_transparent static func derivative(_ x: Vector) -> Vector {
    let (distribution, density) = normal(x)
    return fma(x, density, distribution)
  }
}

enum SiLU: Differentiable {
  @_transparent static func value(_ x: Vector) -> Vector { x * sigmoid(x) }
  @_transparent static func derivative(_ x: Vector) -> Vector {
    let s = sigmoid(x)
    return fma(x * s, 1 - s, s)
  }
}

private struct Value<F: Differentiable>: Unary {
  @inline(__always) func callAsFunction(_ x: Vector) -> Vector { F.value(x) }
}

private struct ScaledValue<F: Differentiable>: Binary {
  @inline(__always) func callAsFunction(_ x: Vector, _ scale: Vector) -> Vector {
    scale * F.value(x)
  }
}

private struct Pullback<F: Differentiable>: Binary {
  @inline(__always) func callAsFunction(_ x: Vector, _ dy: Vector) -> Vector {
    dy * F.derivative(x)
  }
}

private struct ScaledPullback<F: Differentiable>: Ternary {
  @inline(__always) func callAsFunction(_ x: Vector, _ dy: Vector, _ scale: Vector) -> Vector {
    scale * dy * F.derivative(x)
  }
}

extension Loops {
  public func activate(
    _ x: Input, activation: Activation, scales: Input?, into y: Output, count: Int
  ) {
    switch activation {
    case .none: activate(Identity.self, x, scales, y, count)
    case .relu: activate(ReLU.self, x, scales, y, count)
    case .gelu: activate(GELU.self, x, scales, y, count)
    case .silu: activate(SiLU.self, x, scales, y, count)
    }
  }

  public func activateBackward(
    x: Input, dy: Input, activation: Activation, scales: Input?, into dx: Output, count: Int
  ) {
    switch activation {
    case .none: pullBack(Identity.self, x, dy, scales, dx, count)
    case .relu: pullBack(ReLU.self, x, dy, scales, dx, count)
    case .gelu: pullBack(GELU.self, x, dy, scales, dx, count)
    case .silu: pullBack(SiLU.self, x, dy, scales, dx, count)
    }
  }

  private func activate<F: Differentiable>(
    _ f: F.Type, _ x: Input, _ scales: Input?, _ y: Output, _ count: Int
  ) {
    if let scales {
      map(ScaledValue<F>(), x, scales, into: y, count: count)
    } else {
      map(Value<F>(), x, into: y, count: count)
    }
  }

  private func pullBack<F: Differentiable>(
    _ f: F.Type, _ x: Input, _ dy: Input, _ scales: Input?, _ dx: Output, _ count: Int
  ) {
    if let scales {
      map(ScaledPullback<F>(), x, dy, scales, into: dx, count: count)
    } else {
      map(Pullback<F>(), x, dy, into: dx, count: count)
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
