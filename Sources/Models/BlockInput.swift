import Autograd
import Interactions

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

  /// The rows of `x` that belong to the histories' own tokens.
  func own(of x: Tensor, on pass: Pass) -> Tensor {
    tokens.map { gather(x, rows: $0, on: pass) } ?? x
  }
}
