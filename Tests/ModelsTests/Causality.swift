import Interactions
import Models
import Testing
import _TestSupport

/// Expects an item to reach the states after it and its own, and no state before it or in another
/// history, to the bit.
///
/// - Parameter model: has at least 11 items and looks at six or more.
func expectCausal(_ model: any CausalModel, sourceLocation: SourceLocation = #_sourceLocation) {
  let history: [Int32] = [1, 4, 2, 9, 0, 7]
  func states(_ history: [Int32]) -> [Float] {
    model.encode(PackedBatch([[3, 5], history, [6]]), on: .inference).values
  }
  let before = states(history)
  let dim = before.count / 9
  for t in history.indices {
    var changed = history
    changed[t] = 10
    let after = states(changed)
    // Two tokens come before this history, one after it.
    let unchanged = (2 + t) * dim
    expectSameBits(
      Array(after[..<unchanged]), Array(before[..<unchanged]), "before \(t)",
      sourceLocation: sourceLocation)
    expectSameBits(
      Array(after[(8 * dim)...]), Array(before[(8 * dim)...]), "other history, \(t)",
      sourceLocation: sourceLocation)
    let row = unchanged..<(unchanged + dim)
    #expect(
      after[row] != before[row], "the state at \(t) sees its item", sourceLocation: sourceLocation)
    let newest = (7 * dim)..<(8 * dim)
    #expect(
      after[newest] != before[newest], "the newest state sees item \(t)",
      sourceLocation: sourceLocation)
  }
}
