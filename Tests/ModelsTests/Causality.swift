import Interactions
import Models
import Testing
import _TestSupport

/// Expects an item to reach its own state and those after it, and no state before it or in another
/// history, to the bit.
///
/// - Parameters:
///   - model: has at least 11 items.
///   - reach: the newest items that a state can see; nil where it may not see some of them.
func expectCausal(
  _ model: any CausalModel, reach: Int? = .max, sourceLocation: SourceLocation = #_sourceLocation
) {
  let history: [Int32] = [1, 4, 2, 9, 0, 7]
  func states(_ history: [Int32]) -> [[Float]] {
    let all = model.encode(PackedBatch([[3, 5], history, [6]]), on: .inference)
    return (0..<all.rows).map { all.block(rows: $0..<($0 + 1)).values }
  }
  let before = states(history)
  for t in history.indices {
    var changed = history
    changed[t] = 10
    // Two tokens come before this history, one after it.
    let own = 2 + t
    for (row, (new, old)) in zip(states(changed), before).enumerated() {
      let isLater = row >= own && row < 8
      if isLater && reach == nil { continue }
      if let reach, isLater, row - own < reach {
        #expect(new != old, "state \(row) sees item \(t)", sourceLocation: sourceLocation)
      } else {
        expectSameBits(new, old, "state \(row), item \(t)", sourceLocation: sourceLocation)
      }
    }
  }
}
