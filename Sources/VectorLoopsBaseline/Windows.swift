import VectorLoops

private struct TakeLarger: Tile {
  let x: Input
  let place: Vector
  let y, places: Output

  @inline(__always)
  func callAsFunction(_ lane: some Lane, _ c: Int) {
    let (new, old) = (lane.read(x, c), lane.read(y, c))
    let isLarger = new .> old
    lane.write(old.replacing(with: new, where: isLarger), y, c)
    lane.write(lane.read(places, c).replacing(with: place, where: isLarger), places, c)
  }
}

extension Loops {
  public func takeLarger(_ x: Input, place: Float, into y: Output, places: Output, count: Int) {
    let f = TakeLarger(x: x, place: Vector(repeating: place), y: y, places: places)
    forEachTile(of: count, f)
  }
}
