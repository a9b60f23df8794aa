import VectorLoops

extension Loops {
  public func crossEntropy(
    _ logits: Output, count: Int, target: Int, smoothing: Float, scale: Float
  ) -> Float {
    let peak = maximum(logits, count)
    let targetLogit = logits[target]
    let mean = smoothing > 0 ? total(logits, count) { x in x } / Float(count) : 0
    let sumOfExponentials = exponentials(logits, count, peak)
    let share = smoothing * scale / Float(count)
    let factor = Vector(repeating: scale / sumOfExponentials)
    let s = Vector(repeating: -share)
    map(logits, into: logits, count: count) { e in fma(e, factor, s) }
    logits[target] -= (1 - smoothing) * scale
    return peak + logarithm(sumOfExponentials) - (1 - smoothing) * targetLogit - smoothing * mean
  }

  public func crossEntropyLoss(_ logits: Input, count: Int, target: Int, smoothing: Float)
    -> Float
  {
    let peak = maximum(logits, count)
    let p = Vector(repeating: peak)
    let whole = count & ~(lanes - 1)
    var sumOfExponentials = total(logits, whole) { x in exponential(x - p) }
    for i in whole..<count { sumOfExponentials += scalarExponential(logits[i] - peak) }
    let mean = smoothing > 0 ? total(logits, count) { x in x } / Float(count) : 0
    return peak + logarithm(sumOfExponentials) - (1 - smoothing) * logits[target]
      - smoothing * mean
  }

  public func causalSoftmax(
    _ x: Output, rows: Int, columns: Int, first: Int, scale: Float, logSums: Output
  ) {
    for r in 0..<rows {
      let row = x + r * columns
      let visible = min(first + r + 1, columns)
      let peak = maximum(row, visible)
      // exp(scale * (x - peak)), with scale > 0.
      let (p, s) = (Vector(repeating: peak), Vector(repeating: scale))
      let whole = visible & ~(lanes - 1)
      var sums = Vector.zero
      var i = 0
      while i < whole {
        let e = exponential((load(row, i) - p) * s)
        store(e, row, i)
        sums += e
        i += lanes
      }
      var total = sum(sums)
      if i < visible {
        let e = exponential((loadPart(row, i, visible) - p) * s)
        storePart(e, row, i, visible)
        for j in i..<visible { total += row[j] }
      }
      let inverse = Vector(repeating: 1 / total)
      map(row, into: row, count: visible) { e in e * inverse }
      (row + visible).update(repeating: 0, count: columns - visible)
      logSums[r] = scale * peak + logarithm(total)
    }
  }

  public func causalProbabilities(
    _ x: Output, rows: Int, columns: Int, first: Int, scale: Float, logSums: Input
  ) {
    let s = Vector(repeating: scale)
    for r in 0..<rows {
      let row = x + r * columns
      let visible = min(first + r + 1, columns)
      let shift = Vector(repeating: -logSums[r])
      map(row, into: row, count: visible) { x in exponential(fma(x, s, shift)) }
      (row + visible).update(repeating: 0, count: columns - visible)
    }
  }

  public func softmaxBackward(
    p: Input, dp: Output, rows: Int, columns: Int, shifts: Input, scale: Float
  ) {
    let s = Vector(repeating: scale)
    for r in 0..<rows {
      let (row, out) = (p + r * columns, dp + r * columns)
      let shift = Vector(repeating: shifts[r])
      map(row, out, into: out, count: columns) { p, d in p * s * (d - shift) }
    }
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
