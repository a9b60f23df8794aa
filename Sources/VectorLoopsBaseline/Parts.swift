// What is left of a row behind its whole vectors: at most 16 numbers, in pieces of eight and of four.

typealias Eight = SIMD8<Float>
typealias Four = SIMD4<Float>

/// Loads x[i ..< count] and zeros.
@inline(never)
func loadPart(_ x: UnsafePointer<Float>, _ i: Int, _ count: Int) -> Vector {
  let (p, n) = (x + i, count - i)
  if n < 8 { return Vector(lowHalf: loadEight(p, n), highHalf: .zero) }
  return Vector(
    lowHalf: Eight(lowHalf: loadFour(p), highHalf: loadFour(p + 4)),
    highHalf: loadEight(p + 8, n - 8))
}

/// Stores as many numbers of `v` as fit in x[i ..< count].
@inline(never)
func storePart(_ v: Vector, _ x: UnsafeMutablePointer<Float>, _ i: Int, _ count: Int) {
  let (p, n) = (x + i, count - i)
  if n < 8 { return storeEight(v.lowHalf, p, n) }
  storeFour(v.lowHalf.lowHalf, p)
  storeFour(v.lowHalf.highHalf, p + 4)
  storeEight(v.highHalf, p + 8, n - 8)
}

@_transparent
func loadFour(_ p: UnsafePointer<Float>) -> Four {
  UnsafeRawPointer(p).loadUnaligned(as: Four.self)
}

@_transparent
func storeFour(_ v: Four, _ p: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(p).storeBytes(of: v, as: Four.self)
}

@_transparent
private func loadEight(_ p: UnsafePointer<Float>, _ n: Int) -> Eight {
  n < 4
    ? Eight(lowHalf: loadFew(p, n), highHalf: .zero)
    : Eight(lowHalf: loadFour(p), highHalf: loadFew(p + 4, n - 4))
}

@_transparent
private func storeEight(_ v: Eight, _ p: UnsafeMutablePointer<Float>, _ n: Int) {
  if n < 4 { return storeFew(v.lowHalf, p, n) }
  storeFour(v.lowHalf, p)
  storeFew(v.highHalf, p + 4, n - 4)
}

@_transparent
private func loadFew(_ p: UnsafePointer<Float>, _ n: Int) -> Four {
  switch n {
  case 0: .zero
  case 1: Four(p[0], 0, 0, 0)
  case 2: Four(p[0], p[1], 0, 0)
  case 3: Four(p[0], p[1], p[2], 0)
  default: loadFour(p)
  }
}

@_transparent
private func storeFew(_ v: Four, _ p: UnsafeMutablePointer<Float>, _ n: Int) {
  if n > 3 { return storeFour(v, p) }
  for j in 0..<n { p[j] = v[j] }
}
