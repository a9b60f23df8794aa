import VectorLoops

/// x for x > 0, else e^x - 1.
private struct ELU: Unary {
  @_transparent func callAsFunction(_ x: Vector) -> Vector {
    exponentialMinusOne(x).replacing(with: x, where: x .> Vector.zero)
  }
}

/// dx + inverse * (dy - y * product) * elu'(x), where elu'(x) is 1 or elu(x) + 1, and elu(x) is y *
/// norm.
private struct UnitELUPullback: Ternary {
  let product: Vector
  let inverse: Vector
  let norm: Vector

  init(product: Float, inverse: Float) {
    self.product = Vector(repeating: product)
    self.inverse = Vector(repeating: inverse)
    norm = Vector(repeating: 1 / inverse)
  }

  @_transparent
  func callAsFunction(_ y: Vector, _ dy: Vector, _ dx: Vector) -> Vector {
    let one = Vector(repeating: 1)
    let slope = fma(y, norm, one).replacing(with: one, where: y .> Vector.zero)
    return fma(inverse * slope, dy - y * product, dx)
  }
}

extension Loops {
  public func unitELU(
    _ x: Input, rows: Int, segments: Int, width: Int, stride: Int, epsilon: Float, into y: Output,
    inverses: Output
  ) {
    for r in 0..<rows {
      let row = y + r * segments * width
      map(ELU(), x + r * stride, into: row, count: segments * width)
      for s in 0..<segments {
        let part = row + s * width
        let inverse = 1 / (dot(part, part, count: width) + epsilon).squareRoot()
        map(Multiple(inverse), part, into: part, count: width)
        inverses[r * segments + s] = inverse
      }
    }
  }

  public func unitELUBackward(
    y: Input, inverses: Input, dy: Input, rows: Int, segments: Int, width: Int, into dx: Output,
    stride: Int
  ) {
    for r in 0..<rows {
      for s in 0..<segments {
        let place = (r * segments + s) * width
        let f = UnitELUPullback(
          product: dot(y + place, dy + place, count: width), inverse: inverses[r * segments + s])
        let target = dx + r * stride + s * width
        map(f, y + place, dy + place, target, into: target, count: width)
      }
    }
  }
}
