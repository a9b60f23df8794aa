import Autograd
public import Interactions
import Kernels
public import Models
import VectorLoops

/// Scores, ranks and recommends with a trained model.
///
/// Histories go through the model in groups, each on one thread from its items to its answer.
/// Everything here only reads, so many callers may use one ranker at once.
public struct Ranker {
  public let model: any Recommender
  /// The same where it pads histories; to ask a value for its protocols is slow.
  private let sequential: (any SequentialModel)?
  /// The scores of histories without items, `[itemCount]`.
  public var fallback: [Float]

  public init(model: any Recommender) {
    self.model = model
    sequential = model as? any SequentialModel
    fallback = Array(repeating: 0, count: model.itemCount)
  }

  var itemCount: Int { model.itemCount }

  /// Tokens and rows that one task encodes together.
  private static let groupTokens = 1024
  static let groupRows = 64

  /// At most 16 MB of scores in a group.
  var maximalRows: Int { max(1, min(Self.groupRows, (4 << 20) / itemCount)) }

  /// Writes the scores of all items after each history, `[histories.count, itemCount]`.
  public func score(_ histories: Histories, workers: Int, into scores: UnsafeMutablePointer<Float>)
  {
    forEachGroup(histories, workers) { rows, _, group in
      let target = scores + rows.lowerBound * itemCount
      target.update(from: group.pointer, count: rows.count * itemCount)
    }
  }

  /// Writes the k best items of each history and their scores; see `TopK`.
  ///
  /// - Parameters:
  ///   - excluded: items to leave out, a row for each history.
  ///   - allowed: a byte for each item; 0 leaves it out.
  public func recommend(
    _ histories: Histories, excluded: Histories?, allowed: UnsafePointer<UInt8>?, k: Int,
    workers: Int, items: UnsafeMutablePointer<Int32>, scores: UnsafeMutablePointer<Float>
  ) {
    forEachGroup(histories, workers) { rows, _, group in
      select(rows, group, excluded, allowed, k, items, scores)
    }
  }

  /// Writes the k best items of some rows, whose scores stand in `group`, and their scores.
  func select(
    _ rows: Range<Int>, _ group: Buffer, _ excluded: Histories?, _ allowed: UnsafePointer<UInt8>?,
    _ k: Int, _ items: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>
  ) {
    var top = TopK(k: k)
    for (r, row) in rows.enumerated() {
      let line = group.pointer + r * itemCount
      leaveOut(excluded.map { $0[row] }, allowed, of: line)
      top.select(line, count: itemCount, items: items + row * k, best: scores + row * k)
    }
  }

  /// Writes the rank of each target, from 1, among the candidates that are not excluded, and the k
  /// best items where `top` is given.
  ///
  /// A target always takes part. Equal scores rank by lower index; NaN, which no trained model has,
  /// ranks last.
  ///
  /// - Parameter sizes: the widths of a nested model to rank by, one after another in `ranks` and
  ///   `top`; nil for the whole model.
  public func rank(
    _ histories: Histories, targets: Histories, excluded: Histories?, candidates: Histories?,
    k: Int, sizes: [Int]? = nil, workers: Int, ranks: UnsafeMutablePointer<Int32>,
    top: UnsafeMutablePointer<Int32>?
  ) {
    let firstTarget = Int(targets.offsets[0])
    let targetCount = Int(targets.offsets[targets.count]) - firstTarget
    forEachGroup(histories, sizes: sizes, workers) { rows, size, group in
      let ranks = ranks + size * targetCount
      let top = top.map { $0 + size * histories.count * k }
      var selection = TopK(k: k)
      for (r, row) in rows.enumerated() {
        let line = group.pointer + r * itemCount
        let wanted = targets[row]
        if wanted.contains(where: { line[Int($0)].isNaN }) { makeRankable(line) }
        let own = wanted.map { line[Int($0)] }
        leaveOut(excluded.map { $0[row] }, nil, of: line)
        for (i, (item, score)) in zip(wanted, own).enumerated() {
          let above =
            candidates.map { countAbove($0[row], item, score, line) }
            ?? loops.countAbove(line, count: itemCount, value: score, index: Int(item))
          ranks[targets.range(row).lowerBound - firstTarget + i] = Int32(above + 1)
        }
        if let top { selection.select(line, count: itemCount, items: top + row * k, best: nil) }
      }
    }
  }

  /// Writes the k items most alike to each of `items` by cosine, without the item itself.
  ///
  /// - Throws: `InvalidArgument` where the model has no item vectors.
  public func similar(
    to items: UnsafeBufferPointer<Int32>, k: Int, workers: Int,
    similar: UnsafeMutablePointer<Int32>, cosines: UnsafeMutablePointer<Float>
  ) throws(InvalidArgument) {
    guard let vectors = model.itemVectors else {
      throw InvalidArgument("this model has no item vectors, so no similar items")
    }
    let inverses = (0..<itemCount).map { item -> Float in
      let row = vectors.pointer + item * vectors.matrix.stride
      let norm = loops.dot(row, row, count: vectors.columns).squareRoot()
      return norm > 0 ? 1 / norm : 0
    }
    WorkerPool.run(tasks: items.count, workers: workers) { i in
      let item = Int(items[i])
      let scores = Buffer(count: itemCount)
      gemm(
        vectors.matrix.rows(item..<(item + 1)), vectors.matrix, transposeB: true,
        into: Matrix(scores, rows: 1, columns: itemCount))
      for j in 0..<itemCount { scores.pointer[j] *= inverses[j] * inverses[item] }
      scores.pointer[item] = -.infinity
      var top = TopK(k: k)
      top.select(scores.pointer, count: itemCount, items: similar + i * k, best: cosines + i * k)
    }
  }

  /// NaN is above nothing, as it compares with nothing; where a target's score is NaN, the lowest
  /// number stands for all.
  private func makeRankable(_ line: UnsafeMutablePointer<Float>) {
    for i in 0..<itemCount where line[i].isNaN { line[i] = -Float.greatestFiniteMagnitude }
  }

  private func leaveOut(
    _ excluded: UnsafeBufferPointer<Int32>?, _ allowed: UnsafePointer<UInt8>?,
    of line: UnsafeMutablePointer<Float>
  ) {
    if let excluded { for item in excluded { line[Int(item)] = -.infinity } }
    if let allowed { for i in 0..<itemCount where allowed[i] == 0 { line[i] = -.infinity } }
  }

  /// How many candidates, each counted once, stand above the target; those that are left out have
  /// no score.
  private func countAbove(
    _ candidates: UnsafeBufferPointer<Int32>, _ target: Int32, _ score: Float,
    _ line: UnsafeMutablePointer<Float>
  ) -> Int {
    Set(candidates).count { item in
      let other = line[Int(item)]
      return item != target && (other > score || (other == score && item < target))
        && !(other == -.infinity)
    }
  }

  /// Calls `body` with groups of rows and their scores, which it may overwrite, once for each of
  /// `sizes`, whose number it gets too.
  private func forEachGroup(
    _ histories: Histories, sizes: [Int]? = nil, _ workers: Int,
    _ body: (Range<Int>, Int, Buffer) -> Void
  ) {
    let groups = groups(of: histories)
    WorkerPool.run(tasks: groups.count, workers: workers) { i in
      let rows = groups[i]
      let full = rows.filter { !histories.range($0).isEmpty }
      // The scores of rows with items come first, then move to their places.
      let scores = Buffer(count: rows.count * itemCount)
      let own = Matrix(scores, rows: full.count, columns: itemCount)
      let batch = PackedBatch(histories, rows: full, maximalLength: model.maximalLength)
      guard let sizes, let sequential else {
        if !full.isEmpty { model.score(batch, into: own) }
        spread(full, rows, scores)
        return body(rows, 0, scores)
      }
      // The scores of each size are those of the size before, and the product of one more chunk.
      let sums = Matrix(Buffer(count: full.count * itemCount), rows: full.count, columns: itemCount)
      let states = full.isEmpty ? nil : sequential.encodeLast(batch, on: .inference)
      let scorer = sequential.scorer(on: .inference)
      for (j, chunk) in chunks(sizes).enumerated() {
        if let states { scorer.score(states.matrix, columns: chunk, into: sums) }
        own.copy(from: sums)
        spread(full, rows, scores)
        body(rows, j, scores)
      }
    }
  }

  /// Moves the scores of the rows with items, which come first, to their places, the last one first,
  /// and gives the others the fallback.
  private func spread(_ full: [Int], _ rows: Range<Int>, _ scores: Buffer) {
    guard full.count < rows.count else { return }
    var source = full.count - 1
    for row in rows.reversed() {
      let place = scores.pointer + (row - rows.lowerBound) * itemCount
      if source >= 0, full[source] == row {
        place.update(from: scores.pointer + source * itemCount, count: itemCount)
        source -= 1
      } else {
        place.update(from: fallback, count: itemCount)
      }
    }
  }

  /// Rows that follow each other, divided by their lengths alone.
  private func groups(of histories: Histories) -> [Range<Int>] {
    var groups: [Range<Int>] = []
    var (start, total) = (0, 0)
    for row in 0..<histories.count {
      let length = tokens(of: histories.range(row).count)
      if row > start, total + length > Self.groupTokens || row - start >= maximalRows {
        groups.append(start..<row)
        (start, total) = (row, 0)
      }
      total += length
    }
    if start < histories.count { groups.append(start..<histories.count) }
    return groups
  }

  /// The tokens that the model computes for a history of some items; it never sees an empty one.
  private func tokens(of items: Int) -> Int {
    let length = min(items, model.maximalLength)
    guard length > 0, let model = sequential else { return length }
    return model.paddedLength(length)
  }
}
