import Interactions
public import Layers

/// The attention of SASRec and its relatives, as a configuration names it.
public enum AttentionOption: String, Sendable, CaseIterable {
  /// Causal softmax attention.
  case softmax
  /// LinRec over the whole history (Liu et al., SIGIR 2023).
  case linear
  /// LinRec over what came before.
  case linearCausal = "linear_causal"
  /// The same with heads that decay, each at its own learned rate (after Sun et al., "Retentive
  /// Network", 2023).
  case linearDecayed = "linear_decayed"
  /// LinRec as its authors' code runs it: histories are filled up to the largest length, and the
  /// padding takes part like any other item.
  case linearOfficial = "linear_official"

  public var kind: AttentionKind {
    switch self {
    case .softmax: return .softmax
    case .linear, .linearOfficial: return .linear
    case .linearCausal: return .linearCausal
    case .linearDecayed: return .linearDecayed
    }
  }

  /// The rows of the table that embeds items: `linear_official` has one for its padding.
  func tableRows(items: Int) -> Int { self == .linearOfficial ? items + 1 : items }

  /// The tokens that the blocks run on for one history.
  func tokens(length: Int, maximalLength: Int) -> Int {
    self == .linearOfficial ? maximalLength : min(max(length, 1), maximalLength)
  }

  /// What the blocks run on for some histories.
  func input(_ batch: PackedBatch, items: Int, maximalLength: Int) -> BlockInput {
    self == .linearOfficial
      ? BlockInput(padding: batch, with: Int32(items), to: maximalLength) : BlockInput(batch)
  }
}
