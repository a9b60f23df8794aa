import VectorLoops

/// factor * x + shift.
private struct Affine: Unary {
  let factor: Vector
  let shift: Vector

  @_transparent func callAsFunction(_ x: Vector) -> Vector { fma(x, factor, shift) }
}

/// exp(factor * x + shift).
private struct AffineExponential: Unary {
  let factor: Vector
  let shift: Vector

  @_transparent func callAsFunction(_ x: Vector) -> Vector { exponential(fma(x, factor, shift)) }
}

/// scale * p * (dp - shift).
private struct SoftmaxPullback: Binary {
  let scale: Vector
  let shift: Vector

  @_transparent func callAsFunction(_ p: Vector, _ dp: Vector) -> Vector {
    p * scale * (dp - shift)
  }
}

extension Loops {
  public func crossEntropy(
    _ logits: Output, count: Int, target: Int, smoothing: Float, scale: Float
  ) -> Float {
    let peak = maximum(logits, count)
    let targetLogit = logits[target]
    let mean = smoothing > 0 ? total(logits, count: count) / Float(count) : 0
    let sumOfExponentials = exponentials(logits, count, peak)
    let share = smoothing * scale / Float(count)
    let f = Affine(
      factor: Vector(repeating: scale / sumOfExponentials), shift: Vector(repeating: -share))
    map(f, logits, into: logits, count: count)
    logits[target] -= (1 - smoothing) * scale
    return peak + logarithm(sumOfExponentials) - (1 - smoothing) * targetLogit - smoothing * mean
  }

  public func crossEntropyLoss(_ logits: Input, count: Int, target: Int, smoothing: Float)
    -> Float
  {
    let peak = maximum(logits, count)
    let p = Vector(repeating: peak)
    let whole = count & ~(lanes - 1)
    var sums = Vector.zero
    var i = 0
    while i < whole {
      sums += exponential(load(logits, i) - p)
      i += lanes
    }
    var sumOfExponentials = sum(sums)
    for i in whole..<count { sumOfExponentials += scalarExponential(logits[i] - peak) }
    let mean = smoothing > 0 ? total(logits, count: count) / Float(count) : 0
    return peak + logarithm(sumOfExponentials) - (1 - smoothing) * logits[target]
      - smoothing * mean
  }

  public func causalSoftmax(
    _ x: Output, rows: Int, columns: Int, first: Int, scale: Float, logSums: Output
  ) {
    for r in 0..<rows {
      let row = x + r * columns
      let visible = min(first + r + 1, columns)
      let filled = fill(row, from: visible, to: columns)
      let peak = maximum(row, filled)
      // exp(scale * (x - peak)), with scale > 0.
      let (p, s) = (Vector(repeating: peak), Vector(repeating: scale))
      let whole = filled & ~(lanes - 1)
      var sums = Vector.zero
      var i = 0
      while i < whole {
        let e = exponential((load(row, i) - p) * s)
        store(e, row, i)
        sums += e
        i += lanes
      }
      var total = sum(sums)
      if i < filled {
        storePart(exponential((loadPart(row, i, filled) - p) * s), row, i, filled)
        for j in i..<filled { total += row[j] }
      }
      map(Multiple(1 / total), row, into: row, count: filled)
      (row + visible).update(repeating: 0, count: columns - visible)
      logSums[r] = scale * peak + logarithm(total)
    }
  }

  public func causalProbabilities(
    _ x: Output, rows: Int, columns: Int, first: Int, scale: Float, logSums: Input
  ) {
    for r in 0..<rows {
      let row = x + r * columns
      let visible = min(first + r + 1, columns)
      let filled = fill(row, from: visible, to: columns)
      let f = AffineExponential(
        factor: Vector(repeating: scale), shift: Vector(repeating: -logSums[r]))
      map(f, row, into: row, count: filled)
      (row + visible).update(repeating: 0, count: columns - visible)
    }
  }

  public func softmaxBackward(
    p: Input, dp: Output, rows: Int, columns: Int, shifts: Input, scale: Float
  ) {
    for r in 0..<rows {
      let (row, out) = (p + r * columns, dp + r * columns)
      let f = SoftmaxPullback(
        scale: Vector(repeating: scale), shift: Vector(repeating: shifts[r]))
      map(f, row, out, into: out, count: columns)
    }
  }

  /// Hides scores from `start` to the end of a vector, so that rows end in whole vectors; returns
  /// that end. Their exponentials, about 1e-38, are lost in any sum, and zeroed afterwards.
  @_transparent
  func fill(_ row: Output, from start: Int, to columns: Int) -> Int {
    let end = min((start + lanes - 1) & ~(lanes - 1), columns)
    for j in start..<end { row[j] = -1e30 }
    return end
  }

  @_transparent
  func maximum(_ x: Input, _ count: Int) -> Float {
    let whole = count & ~(lanes - 1)
    var v = Vector(repeating: -.infinity)
    var i = 0
    while i < whole {
      v = larger(v, load(x, i))
      i += lanes
    }
    var result = largest(v)
    while i < count {
      if x[i] > result { result = x[i] }
      i += 1
    }
    return result
  }

  /// Replaces x by exp(x - peak) and returns the sum.
  @_transparent
  func exponentials(_ x: Output, _ count: Int, _ peak: Float) -> Float {
    let p = Vector(repeating: peak)
    let whole = count & ~(lanes - 1)
    var sums = Vector.zero
    var i = 0
    while i < whole {
      let e = exponential(load(x, i) - p)
      store(e, x, i)
      sums += e
      i += lanes
    }
    var total = sum(sums)
    if i < count {
      storePart(exponential(loadPart(x, i, count) - p), x, i, count)
      for j in i..<count { total += x[j] }
    }
    return total
  }
}
