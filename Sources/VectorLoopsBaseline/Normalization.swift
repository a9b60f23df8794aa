import VectorLoops

extension Loops {
  public func layerNorm(
    _ x: Input, weight: Input, bias: Input, epsilon: Float, rows: Int, columns: Int,
    into y: Output, means: Output, inverses: Output
  ) {
    let scale = 1 / Float(columns)
    for r in 0..<rows {
      let (row, out) = (x + r * columns, y + r * columns)
      let mean = total(row, columns) { x in x } * scale
      let m = Vector(repeating: mean)
      // Two passes: the sum of squares about the mean does not cancel.
      let variance = totalAbout(mean, row, columns) * scale
      let inverse = 1 / (variance + epsilon).squareRoot()
      let v = Vector(repeating: inverse)
      map(row, weight, bias, into: out, count: columns) { x, w, b in fma((x - m) * v, w, b) }
      means[r] = mean
      inverses[r] = inverse
    }
  }

  public func layerNormBackward(
    x: Input, dy: Input, weight: Input, means: Input, inverses: Input, rows: Int, columns: Int,
    into dx: Output, dWeight: Output, dBias: Output
  ) {
    let scale = 1 / Float(columns)
    let whole = columns & ~(lanes - 1)
    for r in 0..<rows {
      let (row, g, out) = (x + r * columns, dy + r * columns, dx + r * columns)
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
      let a = Vector(repeating: sum(sumOfDh) * scale)
      let b = Vector(repeating: sum(sumOfDhH) * scale)
      map(row, g, weight, into: out, count: columns) { x, g, w in
        let h = (x - m) * v
        return v * fma(-h, b, fma(g, w, -a))
      }
    }
  }

  @_transparent
  func total(_ x: Input, _ count: Int, _ f: (Vector) -> Vector) -> Float {
    let whole = count & ~(lanes - 1)
    var result = Vector.zero
    var i = 0
    while i < whole {
      result += f(load(x, i))
      i += lanes
    }
    if i < count { result += f(loadPart(x, i, count)) }
    return sum(result)
  }

  /// The sum of (x - mean)^2. The zeros that pad the last vector must not count.
  @_transparent
  func totalAbout(_ mean: Float, _ x: Input, _ count: Int) -> Float {
    let m = Vector(repeating: mean)
    let whole = count & ~(lanes - 1)
    var result = total(x, whole) { x in (x - m) * (x - m) }
    for i in whole..<count { result += (x[i] - mean) * (x[i] - mean) }
    return result
  }
}
