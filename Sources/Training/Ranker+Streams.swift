import Autograd
import Interactions
import Kernels
import Models

/// Follows people item by item.
extension Ranker {
  /// The numbers of one person's stream: the encoded state, then what the model remembers.
  ///
  /// - Throws: `InvalidArgument` where the model cannot stream.
  public func streamSize() throws(InvalidArgument) -> Int {
    let (model, size) = try streaming()
    return model.scorer(on: .inference).table.columns + size
  }

  /// Advances streams, `[items.count, streamSize]`, by one item each, in place.
  public func advance(
    _ streams: UnsafeMutablePointer<Float>, by items: UnsafeBufferPointer<Int32>, workers: Int
  ) throws(InvalidArgument) {
    let (model, size) = try streaming()
    let width = try streamSize()
    let groups = stride(from: 0, to: items.count, by: Self.groupRows).map {
      $0..<min($0 + Self.groupRows, items.count)
    }
    WorkerPool.run(tasks: groups.count, workers: workers) { i in
      let rows = groups[i]
      let own = Matrix(
        streams + rows.lowerBound * width, rows: rows.count, columns: width, stride: width)
      let states = model.advance(
        own.block(column: width - size, rows: rows.count, columns: size), by: Array(items[rows]))
      for r in 0..<rows.count {
        (own.pointer + r * width).update(
          from: states.pointer + r * states.matrix.stride, count: width - size)
      }
    }
  }

  /// What `recommend` writes, after streams instead of histories.
  public func recommend(
    streams: UnsafePointer<Float>, count: Int, excluded: Histories?,
    allowed: UnsafePointer<UInt8>?, k: Int, workers: Int, items: UnsafeMutablePointer<Int32>,
    scores: UnsafeMutablePointer<Float>
  ) throws(InvalidArgument) {
    let (model, size) = try streaming()
    let width = try streamSize()
    let groups = stride(from: 0, to: count, by: maximalRows).map {
      $0..<min($0 + maximalRows, count)
    }
    WorkerPool.run(tasks: groups.count, workers: workers) { i in
      let rows = groups[i]
      let first = UnsafeMutablePointer(mutating: streams) + rows.lowerBound * width
      let states = Matrix(first, rows: rows.count, columns: width - size, stride: width)
      let buffer = Buffer(count: rows.count * itemCount)
      model.scorer(on: .inference).score(
        states, into: Matrix(buffer, rows: rows.count, columns: itemCount))
      for r in 0..<rows.count {
        let stream = UnsafeBufferPointer(start: first + r * width, count: width)
        if stream.allSatisfy({ $0 == 0 }) {
          (buffer.pointer + r * itemCount).update(from: fallback, count: itemCount)
        }
      }
      select(rows, buffer, excluded, allowed, k, items, scores)
    }
  }

  /// Writes the streams that the model of a size inside this one would have, `[count, small]`.
  ///
  /// - Throws: `InvalidArgument` where the model cannot stream or was not trained at this size, or
  ///   such streams have another number of numbers than `small`.
  public func slice(
    streams: UnsafePointer<Float>, count: Int, size: Int, into slices: UnsafeMutablePointer<Float>,
    small: Int
  ) throws(InvalidArgument) {
    let width = try streamSize()
    let (nested, sizes) = try model.nested()
    _ = try nested.require(size: size)
    let dim = sizes[sizes.count - 1]
    let kept = size + nested.stateParts(of: size).reduce(0) { $0 + $1.kept }
    try require(small == kept, "a stream of size \(size) has \(kept) numbers, got \(small)")
    let whole = Matrix(UnsafeMutablePointer(mutating: streams), rows: count, columns: width)
    let result = Matrix(slices, rows: count, columns: small)
    result.columns(0..<size).copy(from: whole)
    nested.sliceState(whole.columns(dim..<width), size: size, into: result.columns(size..<small))
  }

  private func streaming() throws(InvalidArgument) -> (any StreamingModel, Int) {
    guard let model = model as? any StreamingModel, let size = model.stateSize else {
      throw InvalidArgument("this model cannot stream: it reads a history as a whole")
    }
    return (model, size)
  }
}
