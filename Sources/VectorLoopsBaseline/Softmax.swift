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

/// factor * exp(x - shift).
private struct ScaledExponential: Unary {
  let factor: Vector
  let shift: Vector

  @_transparent func callAsFunction(_ x: Vector) -> Vector { factor * exponential(x - shift) }
}

/// scale * p * (dp - shift).
private struct SoftmaxPullback: Binary {
  let scale: Vector
  let shift: Vector

  @_transparent func callAsFunction(_ p: Vector, _ dp: Vector) -> Vector {
    p * scale * (dp - shift)
  }
}

/// Where the visible columns of a row end, in a vector or between two.
private struct VisibleEnd {
  /// The columns in vectors that are visible as a whole.
  let whole: Int
  /// The same with the vector that is visible in part.
  let vectors: Int
  private let columns: Float

  @_transparent
  init(_ visible: Int) {
    whole = visible & ~(lanes - 1)
    vectors = (visible + lanes - 1) & ~(lanes - 1)
    columns = Float(visible - whole)
  }

  @_transparent var isInside: Bool { vectors > whole }

  /// Replaces the hidden numbers of the last vector.
  @_transparent
  func hide(_ v: Vector, behind value: Float) -> Vector {
    let place = Vector(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    return v.replacing(with: value, where: place .>= Vector(repeating: columns))
  }

  /// The last vector of a row, if it is visible in part.
  @_transparent
  func last(of row: Output, hidden value: Float) -> Vector {
    isInside ? hide(load(row, whole), behind: value) : Vector(repeating: value)
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

  public func sumOfExponentials(_ x: Input, count: Int, peak: Output) -> Float {
    peak.pointee = maximum(x, count)
    let p = Vector(repeating: peak.pointee)
    let whole = count & ~(lanes - 1)
    var sums = Vector.zero
    var i = 0
    while i < whole {
      sums += exponential(load(x, i) - p)
      i += lanes
    }
    var result = sum(sums)
    for i in whole..<count { result += scalarExponential(x[i] - peak.pointee) }
    return result
  }

  public func exponentials(_ x: Output, count: Int, peak: Output) -> Float {
    peak.pointee = maximum(x, count)
    return exponentials(x, count, peak.pointee)
  }

  public func exponentials(_ x: Output, count: Int, shift: Float, factor: Float) {
    let f = ScaledExponential(
      factor: Vector(repeating: factor), shift: Vector(repeating: shift))
    map(f, x, into: x, count: count)
  }

  public func causalSoftmax(
    _ x: Output, rows: Int, columns: Int, stride: Int, first: Int, scale: Float, logSums: Output?
  ) {
    let s = Vector(repeating: scale)
    for r in 0..<rows {
      let row = x + r * stride
      let end = VisibleEnd(min(first + r + 1, columns))
      var largestScores = end.last(of: row, hidden: -1e30)
      var i = 0
      while i < end.whole {
        largestScores = larger(largestScores, load(row, i))
        i += lanes
      }
      let peak = largest(largestScores)
      // exp(scale * (x - peak)), with scale > 0.
      let p = Vector(repeating: peak)
      var sums = Vector.zero
      i = 0
      while i < end.whole {
        let e = exponential((load(row, i) - p) * s)
        store(e, row, i)
        sums += e
        i += lanes
      }
      if end.isInside {
        let e = end.hide(exponential((load(row, i) - p) * s), behind: 0)
        store(e, row, i)
        sums += e
      }
      let total = sum(sums)
      let f = Multiple(1 / total)
      map(f, row, into: row, count: end.vectors)
      zero(row, from: end.vectors, to: stride)
      if let logSums { logSums[r] = scale * peak + logarithm(total) }
    }
  }

  public func causalProbabilities(
    _ x: Output, rows: Int, columns: Int, stride: Int, first: Int, scale: Float, logSums: Input
  ) {
    for r in 0..<rows {
      let row = x + r * stride
      let end = VisibleEnd(min(first + r + 1, columns))
      let f = AffineExponential(
        factor: Vector(repeating: scale), shift: Vector(repeating: -logSums[r]))
      map(f, row, into: row, count: end.whole)
      if end.isInside { store(end.hide(f(load(row, end.whole)), behind: 0), row, end.whole) }
      zero(row, from: end.vectors, to: stride)
    }
  }

  public func softmaxBackward(
    p: Input, dp: Output, rows: Int, columns: Int, stride: Int, shifts: Input, scale: Float
  ) {
    let whole = (columns + lanes - 1) & ~(lanes - 1)
    for r in 0..<rows {
      let (row, out) = (p + r * stride, dp + r * stride)
      let f = SoftmaxPullback(
        scale: Vector(repeating: scale), shift: Vector(repeating: shifts[r]))
      map(f, row, out, into: out, count: whole)
    }
  }

  /// Zeroes whole vectors.
  @_transparent
  private func zero(_ row: Output, from start: Int, to end: Int) {
    var i = start
    while i < end {
      store(.zero, row, i)
      i += lanes
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
