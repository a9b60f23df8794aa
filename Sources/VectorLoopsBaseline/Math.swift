// `@_transparent`, because the compiler leaves some `@inline(__always)` functions of this file as
// calls, which pass a vector in four small registers.

/// Sixteen floats: one AVX-512 register, two of AVX2, four of the baseline.
typealias Vector = SIMD16<Float>
typealias VectorBits = SIMD16<UInt32>

@_transparent
var lanes: Int { 16 }

@_transparent
func load(_ p: UnsafePointer<Float>, _ i: Int) -> Vector {
  UnsafeRawPointer(p + i).loadUnaligned(as: Vector.self)
}

@_transparent
func store(_ v: Vector, _ p: UnsafeMutablePointer<Float>, _ i: Int) {
  UnsafeMutableRawPointer(p + i).storeBytes(of: v, as: Vector.self)
}

/// Returns `a * b + c`, in one rounding where the processor has the instruction.
///
/// `addingProduct` would call the C library lane by lane where it has not.
@_transparent
func fma(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector {
  #if HAS_FMA
    return c.addingProduct(a, b)
  #else
    return a * b + c
  #endif
}

@_transparent
func larger(_ a: Vector, _ b: Vector) -> Vector { a.replacing(with: b, where: b .> a) }

@_transparent
func smaller(_ a: Vector, _ b: Vector) -> Vector { a.replacing(with: b, where: b .< a) }

@_transparent
func sum(_ v: Vector) -> Float {
  let eight = halves(v).low + halves(v).high
  let four = halves(eight).low + halves(eight).high
  let two = four.lowHalf + four.highHalf
  return two.x + two.y
}

@_transparent
func largest(_ v: Vector) -> Float {
  let (low, high) = halves(v)
  let eight = low.replacing(with: high, where: high .> low)
  let (a, b) = halves(eight)
  let four = a.replacing(with: b, where: b .> a)
  let two = four.lowHalf.replacing(with: four.highHalf, where: four.highHalf .> four.lowHalf)
  return two.x > two.y ? two.x : two.y
}

/// Takes x, clamped to -87 ... 88, apart: e^x = 2^n (1 + r q), where `exponent` is n in the place of a
/// float's exponent.
///
/// Cody and Waite's reduction, x = n ln 2 + r, with a polynomial of degree 6 in r. Adding and
/// subtracting 1.5 * 2^23 rounds to an integer, whose bits then become the exponent; conversions
/// between SIMD types would run lane by lane.
@_transparent
func exponentialParts(_ x: Vector) -> (r: Vector, q: Vector, exponent: VectorBits) {
  let x = smaller(larger(x, Vector(repeating: -87)), Vector(repeating: 88))
  let magic = Vector(repeating: 12_582_912)
  let shifted = fma(x, Vector(repeating: 1.442_695_04), magic)
  let n = shifted - magic
  var r = fma(n, Vector(repeating: -0.693_359_375), x)
  r = fma(n, Vector(repeating: 2.121_944_4e-4), r)
  var p = Vector(repeating: 1.388_888_9e-3)
  p = fma(p, r, Vector(repeating: 8.333_333_3e-3))
  p = fma(p, r, Vector(repeating: 4.166_666_6e-2))
  p = fma(p, r, Vector(repeating: 1.666_666_6e-1))
  p = fma(p, r, Vector(repeating: 0.5))
  p = fma(p, r, Vector(repeating: 1))
  return (r, p, unsafeBitCast(shifted, to: VectorBits.self) &<< VectorBits(repeating: 23))
}

/// Returns e^x to within 2 units in the last place, for x clamped to -87 ... 88.
@_transparent
func exponential(_ x: Vector) -> Vector {
  let (r, q, exponent) = exponentialParts(x)
  let p = fma(q, r, Vector(repeating: 1))
  return unsafeBitCast(unsafeBitCast(p, to: VectorBits.self) &+ exponent, to: Vector.self)
}

/// Returns e^x - 1 for x clamped to -87 ... 88, without the cancellation near 0.
@_transparent
func exponentialMinusOne(_ x: Vector) -> Vector {
  let (r, q, exponent) = exponentialParts(x)
  let one = Vector(repeating: 1)
  let power = unsafeBitCast(unsafeBitCast(one, to: VectorBits.self) &+ exponent, to: Vector.self)
  return fma(power, r * q, power - one)
}

/// Returns the standard normal distribution function and density at x.
///
/// Abramowitz and Stegun 7.1.26, whose error is below 1.5e-7.
@_transparent
func normal(_ x: Vector) -> (distribution: Vector, density: Vector) {
  let magnitude = larger(x, -x)
  let bell = exponential(x * x * -0.5)  // = exp(-z^2) for z = |x| / sqrt 2
  let t = 1 / fma(magnitude, Vector(repeating: 0.3275911 * 0.707_106_78), Vector(repeating: 1))
  var p = Vector(repeating: 1.061405429)
  p = fma(p, t, Vector(repeating: -1.453152027))
  p = fma(p, t, Vector(repeating: 1.421413741))
  p = fma(p, t, Vector(repeating: -0.284496736))
  p = fma(p, t, Vector(repeating: 0.254829592))
  let tail = p * t * bell * 0.5  // = 1 - distribution(|x|)
  let distribution = tail.replacing(with: 1 - tail, where: x .> 0)
  return (distribution, bell * 0.398_942_28)
}

/// Returns the square root of x >= 0 to within 2 units in the last place.
///
/// `squareRoot()` of a SIMD type calls the C library lane by lane. Newton's iteration for 1 /
/// sqrt(x), from a first guess in the bits, is off by 3e-2, 2e-3, 5e-6 and then only by rounding.
@_transparent
func squareRoot(_ x: Vector) -> Vector {
  let half = x * -0.5
  let guess =
    VectorBits(repeating: 0x5F37_59DF)
    &- (unsafeBitCast(x, to: VectorBits.self) &>> VectorBits(repeating: 1))
  var y = unsafeBitCast(guess, to: Vector.self)
  let threeHalves = Vector(repeating: 1.5)
  y = y * fma(half * y, y, threeHalves)
  y = y * fma(half * y, y, threeHalves)
  y = y * fma(half * y, y, threeHalves)
  return x * y
}

@_transparent
func sigmoid(_ x: Vector) -> Vector { 1 / (1 + exponential(-x)) }

/// Returns tanh(x) = (e^(2 x) - 1) / (e^(2 x) + 1).
@_transparent
func hyperbolicTangent(_ x: Vector) -> Vector {
  let e = exponentialMinusOne(x + x)
  return e / (e + 2)
}
