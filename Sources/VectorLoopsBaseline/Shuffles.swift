// A vector is four fours here. The compiler makes one instruction of a shuffle whose numbers are
// named one by one, but melts shuffles that follow each other into one that no processor has. It
// does not see through a change of the element type, so each step has another one.

typealias Pairs = SIMD8<Double>

/// Four numbers from each of four places.
@_transparent
func loadFours(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafePointer<Float>,
  _ d: UnsafePointer<Float>
) -> Vector {
  @_transparent func four(_ p: UnsafePointer<Float>) -> SIMD2<Double> {
    UnsafeRawPointer(p).loadUnaligned(as: SIMD2<Double>.self)
  }
  let v = Pairs(
    lowHalf: SIMD4(lowHalf: four(a), highHalf: four(b)),
    highHalf: SIMD4(lowHalf: four(c), highHalf: four(d)))
  return unsafeBitCast(v, to: Vector.self)
}

/// In each four, the first two of a and of b in turn: a0 b0 a1 b1.
@_transparent
private func interleavedLow(_ a: Vector, _ b: Vector) -> Vector {
  Vector(
    a[0], b[0], a[1], b[1], a[4], b[4], a[5], b[5], a[8], b[8], a[9], b[9], a[12], b[12], a[13],
    b[13])
}

/// In each four, the last two of a and of b in turn: a2 b2 a3 b3.
@_transparent
private func interleavedHigh(_ a: Vector, _ b: Vector) -> Vector {
  Vector(
    a[2], b[2], a[3], b[3], a[6], b[6], a[7], b[7], a[10], b[10], a[11], b[11], a[14], b[14], a[15],
    b[15])
}

/// In each four, the first two of a, then those of b: a0 a1 b0 b1.
@_transparent
private func joinedLow(_ a: Vector, _ b: Vector) -> Vector {
  var (x, y) = (unsafeBitCast(a, to: Pairs.self), unsafeBitCast(b, to: Pairs.self))
  (x[1], x[3], x[5], x[7]) = (y[0], y[2], y[4], y[6])
  return unsafeBitCast(x, to: Vector.self)
}

/// In each four, the last two of a, then those of b: a2 a3 b2 b3.
@_transparent
private func joinedHigh(_ a: Vector, _ b: Vector) -> Vector {
  var (x, y) = (unsafeBitCast(a, to: Pairs.self), unsafeBitCast(b, to: Pairs.self))
  (y[0], y[2], y[4], y[6]) = (x[1], x[3], x[5], x[7])
  return unsafeBitCast(y, to: Vector.self)
}

/// Transposes the fours of four vectors: number i of each stands in vector i afterwards.
@_transparent
func transposed(_ a: Vector, _ b: Vector, _ c: Vector, _ d: Vector)
  -> (Vector, Vector, Vector, Vector)
{
  let (abLow, abHigh) = (interleavedLow(a, b), interleavedHigh(a, b))
  let (cdLow, cdHigh) = (interleavedLow(c, d), interleavedHigh(c, d))
  return (
    joinedLow(abLow, cdLow), joinedHigh(abLow, cdLow), joinedLow(abHigh, cdHigh),
    joinedHigh(abHigh, cdHigh)
  )
}

@_transparent
func halves(_ v: Vector) -> (low: Eight, high: Eight) {
  let pairs = unsafeBitCast(v, to: Pairs.self)
  return (
    unsafeBitCast(pairs.lowHalf, to: Eight.self), unsafeBitCast(pairs.highHalf, to: Eight.self)
  )
}

@_transparent
func halves(_ v: Eight) -> (low: Four, high: Four) {
  let pairs = unsafeBitCast(v, to: SIMD4<Double>.self)
  return (unsafeBitCast(pairs.lowHalf, to: Four.self), unsafeBitCast(pairs.highHalf, to: Four.self))
}

/// The sum of each of four vectors.
@_transparent
func sums(_ a: Vector, _ b: Vector, _ c: Vector, _ d: Vector) -> Four {
  let ab = interleavedLow(a, b) + interleavedHigh(a, b)
  let cd = interleavedLow(c, d) + interleavedHigh(c, d)
  let fours = halves(joinedLow(ab, cd) + joinedHigh(ab, cd))
  let halves = halves(fours.low + fours.high)
  return halves.low + halves.high
}
