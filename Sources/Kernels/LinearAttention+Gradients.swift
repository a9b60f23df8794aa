import VectorLoops

extension PackedLinearAttention {
  /// Writes the gradients of `forward` to `dq` and `dk`, and adds that of v to `dv`. Returns those of
  /// the rates, one for each head that decays.
  @discardableResult
  public func backward(
    q: UnitELU, k: UnitELU, v: Matrix, dy: Matrix, dq: Matrix, dk: Matrix, dv: Matrix
  ) -> [Float] {
    let all = Operands(q: q.values, k: k.values, v: v, dy: dy, dq: dq, dk: dk, dv: dv)
    let decays = decays()
    var slopes = rates.map { _ in 0.0 }
    forEachHead { _, h, rows in
      let history = all.map { heads.part($0, h, rows) }
      if !isCausal { return wholeBackward(history) }
      let slope = causalBackward(history, decays[h], rows.count)
      if !slopes.isEmpty { slopes[h] += slope }
    }
    return slopes.map { Float($0) }
  }

  /// The matrices of `backward`, or the same part of each.
  private struct Operands {
    let q, k, v, dy, dq, dk, dv: Matrix

    func map(_ part: (Matrix) -> Matrix) -> Operands {
      Operands(
        q: part(q), k: part(k), v: part(v), dy: part(dy), dq: part(dq), dk: part(dk), dv: part(dv))
    }
  }

  /// With M = K^T V and dM = scale * Q^T dY: dQ = scale * dY M^T, dK = V dM^T, dV = K dM.
  private func wholeBackward(_ x: Operands) {
    let sums = heads.square()
    gemm(x.k, x.v, transposeA: true, into: sums)
    gemm(x.dy, sums, transposeB: true, into: x.dq, alpha: heads.scale)
    gemm(x.q, x.dy, transposeA: true, into: sums, alpha: heads.scale)
    gemm(x.v, sums, transposeB: true, into: x.dk)
    gemm(x.k, sums, into: x.dv, beta: 1)
  }

  /// The same with sums over earlier chunks for dQ, over later ones for dK and dV. Returns the
  /// gradient of the rate.
  private func causalBackward(_ x: Operands, _ decay: Decay?, _ length: Int) -> Double {
    let chunks = chunks(of: length)
    let earlier = sums(x.k, x.v, decay, upToEachOf: chunks.dropLast())
    let later = heads.square()
    var slope = 0.0
    for (i, chunk) in chunks.enumerated().reversed() {
      let x = x.map { $0.rows(chunk) }
      let (before, isLast) = (i > 0 ? earlier[i - 1] : nil, i == chunks.count - 1)
      let (p, dp) = (lowerProducts(x.q, x.k), lowerProducts(x.dy, x.v))
      if let decay {
        decay.apply(toLower: p)
        slope += decay.slope(p, dp, scale: heads.scale)
        slope += decay.slope(
          q: x.q, k: x.k, v: x.v, dy: x.dy, before: before, later: isLast ? nil : later,
          scale: heads.scale)
        decay.apply(toLower: dp)
      }
      gemm(dp, x.k, into: x.dq)
      gemm(dp, x.q, transposeA: true, into: x.dk)
      gemm(p, x.dy, transposeA: true, into: x.dv, beta: 1)
      if let before {
        let dy = decay?.sinceEarlier(x.dy) ?? x.dy
        gemm(dy, before, transposeB: true, into: x.dq, alpha: heads.scale, beta: 1)
      }
      if !isLast {
        gemm(decay?.untilEnd(x.v) ?? x.v, later, transposeB: true, into: x.dk, beta: 1)
        gemm(decay?.untilEnd(x.k) ?? x.k, later, into: x.dv, beta: 1)
      }
      if i > 0 {
        if !isLast { decay?.apply(to: later, steps: chunk.count) }
        gemm(
          decay?.sinceEarlier(x.q) ?? x.q, x.dy, transposeA: true, into: later, alpha: heads.scale,
          beta: isLast ? 0 : 1)
      }
    }
    return slope
  }

  /// The sums of k v^T at the end of each chunk.
  private func sums(
    _ k: Matrix, _ v: Matrix, _ decay: Decay?, upToEachOf chunks: ArraySlice<Range<Int>>
  ) -> [Matrix] {
    var result: [Matrix] = []
    for chunk in chunks {
      let sums = heads.square()
      if let last = result.last {
        sums.copy(from: last)
        decay?.apply(to: sums, steps: chunk.count)
      }
      let k = k.rows(chunk)
      gemm(
        decay?.untilEnd(k) ?? k, v.rows(chunk), transposeA: true, into: sums,
        beta: result.isEmpty ? 0 : 1)
      result.append(sums)
    }
    return result
  }
}

extension Decay {
  /// The gradient of the rate within a chunk, given products of queries and keys, decayed, and of
  /// gradients and values, not: minus the sum over pairs of positions of their distance times what
  /// they add to the loss.
  fileprivate func slope(_ p: Matrix, _ dp: Matrix, scale: Float) -> Double {
    let (terms, distances) = (Buffer(count: p.rows), Buffer(count: p.rows))
    for n in 0..<p.rows { distances.pointer[n] = Float(p.rows - n) }
    var sum = 0.0
    for r in 1..<p.rows {
      loops.multiply(
        p.pointer + r * p.stride, dp.pointer + r * dp.stride, into: terms.pointer, count: r)
      sum += Double(loops.dot(terms.pointer, distances.pointer + p.rows - r, count: r))
    }
    return -sum / Double(scale)
  }

  /// The same of the pairs that end or begin in a chunk, or pass over it. From one position to
  /// another the steps are those to the end of its chunk, whole chunks, and those from the beginning
  /// of the other's: each chunk counts its own.
  fileprivate func slope(
    q: Matrix, k: Matrix, v: Matrix, dy: Matrix, before: Matrix?, later: Matrix?, scale: Float
  ) -> Double {
    let width = q.columns
    let square = Matrix(Buffer(count: width * width), rows: width, columns: width)
    func product(_ x: Matrix, _ y: Matrix) -> Double {
      Double(loops.dot(x.pointer, y.pointer, count: width * width))
    }
    var sum = 0.0
    if let before {
      let moments = scaled(q) { Float($0 + 1) * factor(steps: $0 + 1) }
      gemm(moments, dy, transposeA: true, into: square, alpha: scale)
      sum += product(before, square)
    }
    if let later {
      let last = k.rows - 1
      let moments = scaled(k) { Float(last - $0) * factor(steps: last - $0) }
      gemm(moments, v, transposeA: true, into: square)
      sum += product(later, square)
    }
    if let before, let later {
      sum += Double(q.rows) * Double(factor(steps: q.rows)) * product(before, later)
    }
    return -sum
  }
}
