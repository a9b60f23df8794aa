import VectorLoops

/// (x - mean) * inverse * weight + bias.
private struct Normalized: Ternary {
  let mean: Vector
  let inverse: Vector

  @_transparent
  func callAsFunction(_ x: Vector, _ weight: Vector, _ bias: Vector) -> Vector {
    fma((x - mean) * inverse, weight, bias)
  }
}

/// inverse * (dy * weight - a - h * b), where h is the normalised x.
private struct NormalizedPullback: Ternary {
  let mean: Vector
  let inverse: Vector
  let a: Vector
  let b: Vector

  @_transparent
  func callAsFunction(_ x: Vector, _ dy: Vector, _ weight: Vector) -> Vector {
    inverse * fma((mean - x) * inverse, b, fma(dy, weight, -a))
  }
}

extension Loops {
  public func layerNorm(
    _ x: Input, weight: Input, bias: Input, epsilon: Float, rows: Int, columns: Int, stride: Int,
    into y: Output, means: Output?, inverses: Output?
  ) {
    let scale = 1 / Float(columns)
    for r in 0..<rows {
      let (row, out) = (x + r * stride, y + r * stride)
      let mean = total(row, count: columns) * scale
      // Two passes: the sum of squares about the mean does not cancel.
      let variance = squares(row, columns, about: mean) * scale
      let inverse = 1 / (variance + epsilon).squareRoot()
      let f = Normalized(mean: Vector(repeating: mean), inverse: Vector(repeating: inverse))
      map(f, row, weight, bias, into: out, count: columns)
      means?[r] = mean
      inverses?[r] = inverse
    }
  }

  public func layerNormBackward(
    x: Input, dy: Input, weight: Input, means: Input, inverses: Input, rows: Int, columns: Int,
    stride: Int, into dx: Output, dWeight: Output, dBias: Output
  ) {
    let scale = 1 / Float(columns)
    let whole = columns & ~(lanes - 1)
    for r in 0..<rows {
      let (row, g, out) = (x + r * stride, dy + r * stride, dx + r * stride)
      let (m, v) = (Vector(repeating: means[r]), Vector(repeating: inverses[r]))
      // dx = inverse * (dh - mean(dh) - h * mean(dh * h)), where h is the normalised x and dh = dy
      // * weight.
      var sumOfDh = Vector.zero
      var sumOfDhH = Vector.zero
      var c = 0
      while c < whole {
        let gradient = load(g, c)
        let h = (load(row, c) - m) * v
        let dh = gradient * load(weight, c)
        sumOfDh += dh
        sumOfDhH = fma(dh, h, sumOfDhH)
        store(fma(gradient, h, load(dWeight, c)), dWeight, c)
        store(load(dBias, c) + gradient, dBias, c)
        c += lanes
      }
      if c < columns {
        let gradient = loadPart(g, c, columns)
        let h = (loadPart(row, c, columns) - m) * v
        let dh = gradient * loadPart(weight, c, columns)
        sumOfDh += dh
        sumOfDhH = fma(dh, h, sumOfDhH)
        storePart(fma(gradient, h, loadPart(dWeight, c, columns)), dWeight, c, columns)
        storePart(loadPart(dBias, c, columns) + gradient, dBias, c, columns)
      }
      let f = NormalizedPullback(
        mean: m, inverse: v, a: Vector(repeating: sum(sumOfDh) * scale),
        b: Vector(repeating: sum(sumOfDhH) * scale))
      map(f, row, g, weight, into: out, count: columns)
    }
  }

  @inline(__always)
  public func total(_ x: Input, count: Int) -> Float {
    let whole = count & ~(lanes - 1)
    var result = Vector.zero
    var i = 0
    while i < whole {
      result += load(x, i)
      i += lanes
    }
    if i < count { result += loadPart(x, i, count) }
    return sum(result)
  }

  /// The sum of (x - mean)^2. The zeros that fill up the last vector must not count.
  @_transparent
  func squares(_ x: Input, _ count: Int, about mean: Float) -> Float {
    let m = Vector(repeating: mean)
    let whole = count & ~(lanes - 1)
    var sums = Vector.zero
    var i = 0
    while i < whole {
      let d = load(x, i) - m
      sums = fma(d, d, sums)
      i += lanes
    }
    var result = sum(sums)
    while i < count {
      result += (x[i] - mean) * (x[i] - mean)
      i += 1
    }
    return result
  }
}
