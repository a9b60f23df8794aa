import VectorLoops

// What a loop does to its numbers is a type, not a closure: the compiler inlines the method of a
// type wherever it stands, but leaves closures as calls when it translates files side by side.

protocol Unary { func callAsFunction(_ x: Vector) -> Vector }
protocol Binary { func callAsFunction(_ x: Vector, _ y: Vector) -> Vector }
protocol Ternary { func callAsFunction(_ x: Vector, _ y: Vector, _ z: Vector) -> Vector }

/// Applies `f` to whole vectors, and at the end to one that is filled up with zeros.
@inline(__always)
func map(_ f: some Unary, _ x: Input, into y: Output, count: Int) {
  let whole = count & ~(lanes - 1)
  var i = 0
  while i < whole {
    store(f(load(x, i)), y, i)
    i += lanes
  }
  if i < count { storePart(f(loadPart(x, i, count)), y, i, count) }
}

@inline(__always)
func map(_ f: some Binary, _ x: Input, _ y: Input, into z: Output, count: Int) {
  let whole = count & ~(lanes - 1)
  var i = 0
  while i < whole {
    store(f(load(x, i), load(y, i)), z, i)
    i += lanes
  }
  if i < count { storePart(f(loadPart(x, i, count), loadPart(y, i, count)), z, i, count) }
}

@inline(__always)
func map(_ f: some Ternary, _ x: Input, _ y: Input, _ z: Input, into w: Output, count: Int) {
  let whole = count & ~(lanes - 1)
  var i = 0
  while i < whole {
    store(f(load(x, i), load(y, i), load(z, i)), w, i)
    i += lanes
  }
  if i < count {
    let last = f(loadPart(x, i, count), loadPart(y, i, count), loadPart(z, i, count))
    storePart(last, w, i, count)
  }
}

struct Sum: Binary {
  @_transparent func callAsFunction(_ x: Vector, _ y: Vector) -> Vector { x + y }
}

struct Product: Binary {
  @_transparent func callAsFunction(_ x: Vector, _ y: Vector) -> Vector { x * y }
}

/// x + scale * z, with a scale for each number.
struct ScaledSum: Ternary {
  @_transparent func callAsFunction(_ x: Vector, _ z: Vector, _ scale: Vector) -> Vector {
    fma(scale, z, x)
  }
}

/// factor * x.
struct Multiple: Unary {
  let factor: Vector

  init(_ factor: Float) { self.factor = Vector(repeating: factor) }

  @_transparent func callAsFunction(_ x: Vector) -> Vector { factor * x }
}

/// factor * x + y.
struct MultipleSum: Binary {
  let factor: Vector

  init(_ factor: Float) { self.factor = Vector(repeating: factor) }

  @_transparent func callAsFunction(_ x: Vector, _ y: Vector) -> Vector { fma(factor, x, y) }
}

extension Loops {
  public func fill(_ x: Output, count: Int, value: Float) {
    x.update(repeating: value, count: count)
  }

  public func accumulate(_ x: Input, alpha: Float, into y: Output, count: Int) {
    map(MultipleSum(alpha), x, y, into: y, count: count)
  }

  public func scale(_ x: Input, alpha: Float, into y: Output, count: Int) {
    map(Multiple(alpha), x, into: y, count: count)
  }

  public func add(_ x: Input, _ y: Input, into z: Output, count: Int) {
    map(Sum(), x, y, into: z, count: count)
  }

  public func multiply(_ x: Input, _ y: Input, into z: Output, count: Int) {
    map(Product(), x, y, into: z, count: count)
  }

  public func dot(_ x: Input, _ y: Input, count: Int) -> Float {
    let whole = count & ~(lanes - 1)
    var total = Vector.zero
    var i = 0
    while i < whole {
      total = fma(load(x, i), load(y, i), total)
      i += lanes
    }
    if i < count { total = fma(loadPart(x, i, count), loadPart(y, i, count), total) }
    return sum(total)
  }

  public func addBias(_ bias: Input, to x: Output, rows: Int, columns: Int, stride: Int) {
    for r in 0..<rows {
      let row = x + r * stride
      map(Sum(), row, bias, into: row, count: columns)
    }
  }

  public func addColumnSums(of x: Input, into sums: Output, rows: Int, columns: Int, stride: Int) {
    var c = 0
    while c < columns {
      let isWhole = c + lanes <= columns
      var total = Vector.zero
      for r in 0..<rows {
        let row = x + r * stride
        total += isWhole ? load(row, c) : loadPart(row, c, columns)
      }
      if isWhole {
        store(load(sums, c) + total, sums, c)
      } else {
        storePart(loadPart(sums, c, columns) + total, sums, c, columns)
      }
      c += lanes
    }
  }

  public func addResidual(_ x: Input, _ z: Input, scales: Input?, into y: Output, count: Int) {
    guard let scales else { return add(x, z, into: y, count: count) }
    map(ScaledSum(), x, z, scales, into: y, count: count)
  }

  public func allFinite(_ x: Input, count: Int) -> Bool {
    // x * 0 is 0 for finite x and NaN for the others, and NaN survives every sum.
    let whole = count & ~(lanes - 1)
    var total = Vector.zero
    var i = 0
    while i < whole {
      total = fma(load(x, i), Vector.zero, total)
      i += lanes
    }
    if i < count { total = fma(loadPart(x, i, count), Vector.zero, total) }
    return sum(total) == 0
  }

  public func countAbove(_ x: Input, count: Int, value: Float, index: Int) -> Int {
    let v = Vector(repeating: value)
    let one = SIMD16<Int32>(repeating: 1)
    var total = SIMD16<Int32>.zero
    // Below `index` equal scores count too, above it they do not.
    let below = min(index, count) & ~(lanes - 1)
    let whole = count & ~(lanes - 1)
    var i = 0
    while i < below {
      total = total &+ SIMD16<Int32>.zero.replacing(with: one, where: load(x, i) .>= v)
      i += lanes
    }
    var scalar = 0
    let next = min(below + lanes, count)
    while i < next {
      if x[i] > value || (x[i] == value && i < index) { scalar += 1 }
      i += 1
    }
    while i < whole {
      total = total &+ SIMD16<Int32>.zero.replacing(with: one, where: load(x, i) .> v)
      i += lanes
    }
    while i < count {
      if x[i] > value { scalar += 1 }
      i += 1
    }
    return scalar + Int(total.wrappedSum())
  }

  public func firstAbove(_ x: Input, start: Int, count: Int, value: Float) -> Int {
    let bound = Vector(repeating: value)
    var i = start
    while i + 4 * lanes <= count {
      // The bound comes first, so that NaN, which compares with nothing, hides no number.
      let a = larger(larger(bound, load(x, i)), load(x, i + lanes))
      let b = larger(larger(bound, load(x, i + 2 * lanes)), load(x, i + 3 * lanes))
      if largest(larger(a, b)) > value { break }
      i += 4 * lanes
    }
    while i < count && !(x[i] > value) { i += 1 }
    return i
  }

  public func reachedByLargest(_ k: Int, of x: Input, count: Int) -> Float {
    guard k > 0, k <= lanes else { return -.infinity }
    let none = Vector(repeating: -.infinity)
    var maxima = (none, none, none, none)
    var i = 0
    while i + 4 * lanes <= count {
      maxima.0 = larger(maxima.0, load(x, i))
      maxima.1 = larger(maxima.1, load(x, i + lanes))
      maxima.2 = larger(maxima.2, load(x, i + 2 * lanes))
      maxima.3 = larger(maxima.3, load(x, i + 3 * lanes))
      i += 4 * lanes
    }
    var best = none
    insert(maxima.0, into: &best)
    insert(maxima.1, into: &best)
    insert(maxima.2, into: &best)
    insert(maxima.3, into: &best)
    return best[k - 1]
  }

  /// Puts 16 numbers into the falling row of the 16 largest so far.
  @inline(__always)
  private func insert(_ numbers: Vector, into best: inout Vector) {
    for j in 0..<lanes {
      // Each place keeps its number, takes the new one, or that of the place before it.
      let before = Vector(
        .infinity, best[0], best[1], best[2], best[3], best[4], best[5], best[6], best[7], best[8],
        best[9], best[10], best[11], best[12], best[13], best[14])
      best = smaller(larger(best, Vector(repeating: numbers[j])), before)
    }
  }
}
