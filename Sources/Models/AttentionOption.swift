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
  /// LinRec as its authors' code runs it: histories are filled up to the largest length, and the
  /// padding takes part like any other item.
  case linearOfficial = "linear_official"

  public var kind: AttentionKind {
    switch self {
    case .softmax: return .softmax
    case .linear, .linearOfficial: return .linear
    case .linearCausal: return .linearCausal
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

/// The tokens that blocks run on, and where the items of the histories stand among them.
struct BlockInput {
  let batch: PackedBatch
  /// The rows of the histories' own tokens; nil where there are no others.
  let tokens: [Int32]?
  /// The rows of their last tokens.
  let lastTokens: [Int32]

  init(_ batch: PackedBatch) {
    self.batch = batch
    tokens = nil
    lastTokens = batch.lastTokens
  }

  /// Fills histories up with `item` on the right.
  init(padding batch: PackedBatch, with item: Int32, to length: Int) {
    var items: [Int32] = []
    var tokens: [Int32] = []
    for (start, end) in zip(batch.offsets, batch.offsets.dropFirst()) {
      tokens += Int32(items.count)..<Int32(items.count + end - start)
      items += batch.items[start..<end]
      items += repeatElement(item, count: length - (end - start))
    }
    self.batch = PackedBatch(items: items, offsets: (0...batch.count).map { $0 * length })
    self.tokens = tokens
    lastTokens = batch.lastTokens.map { tokens[Int($0)] }
  }
}
