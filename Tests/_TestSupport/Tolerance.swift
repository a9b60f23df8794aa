/// How far a number may be from its reference. The only place that names tolerances: a test may not
/// invent one.
///
/// A difference may be `relative` times the largest reference number of the array, plus `absolute`.
public struct Tolerance: Sendable {
  public let relative: Double
  public let absolute: Double

  init(relative: Double = 0, absolute: Double = 0) {
    self.relative = relative
    self.absolute = absolute
  }
}
