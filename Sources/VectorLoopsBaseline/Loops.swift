public import VectorLoops

/// The loops of this module's instruction set.
public struct Loops: VectorLoops {
  public init() {}
}
