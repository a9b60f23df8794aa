import VectorLoops

private struct Scan: Tile {
  let b, lambda, gain: Input
  let state: Input?
  let h: Output
  let steps, channels, stride, outputStride: Int

  @inline(__always)
  func callAsFunction(_ lane: some Lane, _ c: Int) {
    let (p, q) = (lane.read(lambda, c), lane.read(lambda + channels, c))
    let g = lane.read(gain, c)
    var re = Vector.zero
    var im = Vector.zero
    if let state {
      re = lane.read(state, c)
      im = lane.read(state + channels, c)
    }
    var (input, output) = (b, h)
    for _ in 0..<steps {
      let x = g * lane.read(input, c)
      let y = g * lane.read(input + channels, c)
      (re, im) = (fma(p, re, fma(-q, im, x)), fma(p, im, fma(q, re, y)))
      lane.write(re, output, c)
      lane.write(im, output + channels, c)
      input += stride
      output += outputStride
    }
  }
}

private struct Decay: Tile {
  let state, lambda: Input
  let h: Output
  let steps, channels, stride: Int

  @inline(__always)
  func callAsFunction(_ lane: some Lane, _ c: Int) {
    let (p, q) = (lane.read(lambda, c), lane.read(lambda + channels, c))
    var (re, im) = (lane.read(state, c), lane.read(state + channels, c))
    var row = h
    for _ in 0..<steps {
      (re, im) = (fma(p, re, -q * im), fma(p, im, q * re))
      lane.write(lane.read(row, c) + re, row, c)
      lane.write(lane.read(row + channels, c) + im, row + channels, c)
      row += stride
    }
  }
}

private struct ScanPullback: Tile {
  let b, h, gain: Input
  let delta, dLambda, dGain: Output
  let steps, channels, stride: Int

  @inline(__always)
  func callAsFunction(_ lane: some Lane, _ c: Int) {
    let g = lane.read(gain, c)
    var (dp, dq) = (lane.read(dLambda, c), lane.read(dLambda + channels, c))
    var dg = lane.read(dGain, c)
    var re = Vector.zero
    var im = Vector.zero
    for t in 0..<steps {
      let row = delta + t * stride
      let (x, y) = (lane.read(row, c), lane.read(row + channels, c))
      // conj(h[t - 1]) delta[t] and the real part of conj(b[t]) delta[t].
      dp = fma(re, x, fma(im, y, dp))
      dq = fma(re, y, fma(-im, x, dq))
      dg = fma(
        lane.read(b + t * stride, c), x, fma(lane.read(b + t * stride + channels, c), y, dg))
      lane.write(g * x, row, c)
      lane.write(g * y, row + channels, c)
      re = lane.read(h + t * stride, c)
      im = lane.read(h + t * stride + channels, c)
    }
    lane.write(dp, dLambda, c)
    lane.write(dq, dLambda + channels, c)
    lane.write(dg, dGain, c)
  }
}

extension Loops {
  public func linearRecurrence(
    _ b: Input, lambda: Input, gain: Input, from state: Input?, into h: Output, steps: Int,
    channels: Int, stride: Int, outputStride: Int
  ) {
    let scan = Scan(
      b: b, lambda: lambda, gain: gain, state: state, h: h, steps: steps, channels: channels,
      stride: stride, outputStride: outputStride)
    forEachTile(of: channels, scan)
  }

  public func addDecay(
    of state: Input, lambda: Input, into h: Output, steps: Int, channels: Int, stride: Int
  ) {
    let decay = Decay(
      state: state, lambda: lambda, h: h, steps: steps, channels: channels, stride: stride)
    forEachTile(of: channels, decay)
  }

  public func linearRecurrenceBackward(
    delta: Output, b: Input, h: Input, gain: Input, steps: Int, channels: Int, stride: Int,
    dLambda: Output, dGain: Output
  ) {
    let pullback = ScanPullback(
      b: b, h: h, gain: gain, delta: delta, dLambda: dLambda, dGain: dGain, steps: steps,
      channels: channels, stride: stride)
    forEachTile(of: channels, pullback)
  }
}
