import Kernels

/// The widths of a nested model, how much the loss of each counts, and how much is dropped there.
public struct NestedWidths: Sendable {
  /// Ascending; the last is that of the whole model.
  public let sizes: [Int]
  public let weights: [Float]
  /// What probabilities of dropout are multiplied by in the columns from one size to the next.
  public let dropouts: [Float]

  public init(sizes: [Int], weights: [Float], dropouts: [Float]? = nil) {
    self.sizes = sizes
    self.weights = weights
    self.dropouts = dropouts ?? sizes.map { _ in 1 }
    precondition(
      sizes.count == weights.count && sizes.count == self.dropouts.count, "numbers for each size")
  }

  /// The columns of a row that have a probability of their own, with its factor. Wider rows hold the
  /// model's columns several times.
  func dropouts(of columns: Int) -> [(columns: Range<Int>, factor: Float)] {
    let width = sizes.last ?? 0
    precondition(width > 0 && columns % width == 0, "rows of \(columns) are no planes of \(width)")
    return stride(from: 0, to: columns, by: width).flatMap { plane in
      zip(chunks(sizes), dropouts).map {
        ((plane + $0.lowerBound)..<(plane + $0.upperBound), $1)
      }
    }
  }
}
