import Interactions
import VectorLoops

extension Fields {
  /// Reads a number of attention heads, which share `dim` where there is attention.
  mutating func heads(default standard: Int, dividing dim: Int?) throws(InvalidArgument) -> Int {
    let heads = try integer("heads", default: standard, in: 1...65536)
    if let dim {
      try require(dim % heads == 0, "heads must divide dim, got heads \(heads) and dim \(dim)")
    }
    return heads
  }

  /// Reads the activation of a feed-forward map, which is never linear.
  mutating func activation(default standard: Activation) throws(InvalidArgument) -> Activation {
    let activation = try choice("activation", default: standard)
    try require(
      activation != .none, "activation must be \"gelu\", \"relu\" or \"silu\", got \"none\"")
    return activation
  }
}
