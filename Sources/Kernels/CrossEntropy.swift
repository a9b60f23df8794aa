import Glibc
import VectorLoops

/// The ranges of columns between nested sizes, ascending.
public func chunks(_ sizes: [Int]) -> [Range<Int>] {
  zip([0] + sizes, sizes).map { $0..<$1 }
}

/// Softmax cross-entropy of hidden states against a table of items, fused: logits exist for a tile of
/// rows and items at a time, and become their gradient in place.
///
/// For a nested model it is the weighted sum of the cross-entropies of the first s[j] numbers of
/// states and items, for all sizes s at once (Kusupati et al., "Matryoshka Representation Learning",
/// NeurIPS 2022). The logits of a size are those of the size before and the product of one more chunk
/// of columns, so all sizes take the matrix products of the largest.
///
/// A first pass over the tiles of some rows finds the normalisers, a second one the gradients. The
/// exponentials of all items are kept in between where that takes little memory, else the logits are
/// found again: a third more products, but memory that does not grow with items and sizes.
public struct SoftmaxCrossEntropy {
  public let sizes: [Int]
  /// The weight of each size.
  public let weights: [Float]
  /// Each row's loss and gradient are multiplied by this.
  public let scale: Float
  public let smoothing: Float
  /// What states, items and gradients of logits are rounded to before they are multiplied.
  public let precision: Precision
  /// The logits of a tile, those of all sizes together: as many as stay in a core's cache.
  private let tileCount: Int
  /// The most exponentials that are kept from one pass to the next.
  private let keptCount: Int

  /// The most logits in memory: those that are kept, the last tile of them whole.
  private var largestCount: Int { keptCount + tileCount }

  public init(
    sizes: [Int], weights: [Float]? = nil, scale: Float, smoothing: Float = 0,
    precision: Precision = .float32, tileCount: Int = 1 << 17, keptCount: Int = 1 << 23
  ) {
    self.sizes = sizes
    self.weights = weights ?? sizes.map { _ in 1 }
    self.scale = scale
    self.smoothing = smoothing
    self.precision = precision
    self.tileCount = tileCount
    self.keptCount = keptCount
  }

  /// Whether the exponentials of all items are kept, and for how many rows at a time: enough for the
  /// matrix products, all about as many, in whole tiles of a product.
  private func plan(rows: Int, items: Int) -> (keeps: Bool, rowsAtOnce: Int) {
    let (fewest, block) = (64, 8)
    let fitting = keptCount / max(1, sizes.count * (items + 16))
    let keeps = fitting >= min(rows, fewest)
    let limit = keeps ? max(block, min(512, fitting) / block * block) : 256
    let parts = max(1, (rows + limit - 1) / limit)
    return (keeps, ((rows + parts - 1) / parts + block - 1) / block * block)
  }

  /// Returns the loss, in double precision.
  ///
  /// - Shapes: `hidden` and `dHidden` are `[rows, dim]`, `table` and `dTable` are `[items, dim]`,
  ///   `bias` and `dBias` are `[items]`.
  /// - Parameters:
  ///   - seen: what each row has seen; nil changes no logits.
  ///   - dHidden: written, where gradients are wanted.
  ///   - dTable: added to where `tableBeta` is 1, written where it is 0.
  ///   - dBias: added to.
  public func callAsFunction(
    hidden: Matrix, table: Matrix, bias: Input? = nil, targets: UnsafePointer<Int32>,
    seen: SeenItems? = nil, dHidden: Matrix? = nil, dTable: Matrix? = nil, tableBeta: Float = 1,
    dBias: Output? = nil
  ) -> Double {
    check(
      sizes.last == table.columns && weights.count == sizes.count, "sizes end at the table's width")
    if let seen {
      check(seen.rows == hidden.rows && seen.itemCount <= table.rows, "what each row has seen")
    }
    if hidden.rows == 0, tableBeta == 0 { dTable?.zero() }
    let columns = chunks(sizes)
    let (keeps, rowsAtOnce) = plan(rows: hidden.rows, items: table.rows)
    var loss = 0.0
    for start in stride(from: 0, to: hidden.rows, by: max(1, rowsAtOnce)) {
      let rows = start..<min(start + rowsAtOnce, hidden.rows)
      let part = Rows(
        loss: self, hidden: hidden.rows(rows), table: table, bias: bias,
        targets: targets + start, seen: seen?.rows(rows), columns: columns, keeps: keeps)
      loss += part.run(
        dHidden: dHidden?.rows(rows), dTable: dTable, tableBeta: start == 0 ? tableBeta : 1,
        dBias: dBias)
    }
    return loss * Double(scale)
  }

  /// Some rows against all items.
  private struct Rows {
    let loss: SoftmaxCrossEntropy
    let hidden: Matrix
    let table: Matrix
    let bias: Input?
    let targets: UnsafePointer<Int32>
    let seen: SeenItems?
    /// The columns of each level.
    let columns: [Range<Int>]
    /// Whether the exponentials of all items stay from the first pass to the second.
    let keeps: Bool

    private var levels: Int { columns.count }
    private var rows: Int { hidden.rows }

    func run(dHidden: Matrix?, dTable: Matrix?, tableBeta: Float, dBias: Output?) -> Double {
      // Whole vectors, and an odd number of them: rows that stand a power of two apart would share
      // the same few places of a cache.
      let least = min(table.rows, loss.tileCount / (levels * rows))
      let width = least / 32 * 32 + 16
      let tiles = stride(from: 0, to: table.rows, by: width).map {
        $0..<min($0 + width, table.rows)
      }
      let wantsGradient = dHidden != nil || dTable != nil || dBias != nil
      let keeps = wantsGradient && (self.keeps || tiles.count == 1)
      let tileCount = levels * rows * width
      // Of one size where it is large, as the pool would keep blocks of each size that ever occurs.
      let count = keeps ? tiles.count * tileCount : tileCount
      let buffer = Buffer(count: count > 1 << 20 ? max(count, loss.largestCount) : count)
      /// The logits of level j for the items of a tile.
      func logits(_ j: Int, _ tile: Range<Int>) -> Matrix {
        let start = keeps ? tile.lowerBound / width * tileCount : 0
        return Matrix(buffer, from: start + j * rows * width, rows: rows, columns: width)
          .block(rows: rows, columns: tile.count)
      }
      let shifted = seen.map { SeenItems.Cells($0, targets: targets, width: width) }
      var sums = Normalizers(levels: levels, rows: rows)
      for tile in tiles {
        fill(tile, logits, shifted)
        for j in 0..<levels { take(tile, logits(j, tile), j, &sums, replacing: keeps) }
      }
      var total = 0.0
      for j in 0..<levels where loss.weights[j] != 0 {
        for r in 0..<rows {
          total += Double(loss.weights[j]) * (sums.logSum(j, r) - sums.expected(j, r))
        }
      }
      guard wantsGradient else { return total }
      for (number, tile) in tiles.enumerated() {
        if !keeps { fill(tile, logits, shifted) }
        differentiate(tile, logits, sums, kept: keeps ? number : nil)
        let items = table.rows(tile)
        for j in 0..<levels {
          let (a, c) = (logits(j, tile), columns[j])
          if let dHidden {
            gemm(
              a, items.columns(c), into: dHidden.columns(c), beta: tile.lowerBound == 0 ? 0 : 1,
              precision: loss.precision)
          }
          if let dTable {
            gemm(
              a, hidden.columns(c), transposeA: true, into: dTable.rows(tile).columns(c),
              beta: tableBeta, precision: loss.precision)
          }
        }
        if let dBias {
          let a = logits(0, tile)
          loops.addColumnSums(
            of: a.pointer, into: dBias + tile.lowerBound, rows: rows, columns: a.columns,
            stride: a.stride)
        }
      }
      return total
    }

    /// Writes the logits of all levels for the items of a tile.
    private func fill(
      _ tile: Range<Int>, _ logits: (Int, Range<Int>) -> Matrix, _ shifted: SeenItems.Cells?
    ) {
      let items = table.rows(tile)
      for j in 0..<levels {
        let z = logits(j, tile)
        if j > 0 { z.copy(from: logits(j - 1, tile)) }
        gemm(
          hidden.columns(columns[j]), items.columns(columns[j]), transposeB: true, into: z,
          beta: j == 0 ? 0 : 1, bias: j == 0 ? bias.map { $0 + tile.lowerBound } : nil,
          precision: loss.precision)
        if j == 0 { shifted?.addMargin(to: z, tile: tile) }  // and the other levels by theirs
      }
    }

    /// Takes the logits of a level into its normalisers, and replaces them by their exponentials,
    /// as they are less than the largest one of the row in this tile, if the second pass has them.
    private func take(
      _ tile: Range<Int>, _ z: Matrix, _ j: Int, _ sums: inout Normalizers, replacing: Bool
    ) {
      for r in 0..<rows {
        let row = z.pointer + r * z.stride
        let target = Int(targets[r])
        if tile.contains(target) {
          let share = Double(1 - loss.smoothing)
          sums.expect(share * Double(row[target - tile.lowerBound]), j, r)
        }
        if loss.smoothing > 0 {
          let mean = Double(loops.total(row, count: z.columns)) / Double(table.rows)
          sums.expect(Double(loss.smoothing) * mean, j, r)
        }
        var peak: Float = 0
        let sum =
          replacing
          ? loops.exponentials(row, count: z.columns, peak: &peak)
          : loops.sumOfExponentials(row, count: z.columns, peak: &peak)
        sums.add(sum, peak: peak, j, r)
        if replacing { sums.tilePeaks.append(peak) }
      }
    }

    /// Replaces the logits of each level, or the exponentials of tile number `kept`, by the sum of
    /// the gradients of this level and those above: what the chunk of this level gets.
    private func differentiate(
      _ tile: Range<Int>, _ logits: (Int, Range<Int>) -> Matrix, _ sums: Normalizers, kept: Int?
    ) {
      for j in (0..<levels).reversed() {
        let z = logits(j, tile)
        let factor = loss.weights[j] * loss.scale
        if factor == 0 {
          z.zero()
        } else {
          for r in 0..<rows {
            let row = z.pointer + r * z.stride
            let share = Double(factor) / sums.sum(j, r)
            if let kept {
              let lower = sums.peak(j, r, tile: kept) - sums.peak(j, r)
              loops.scale(row, alpha: Float(share) * exp(lower), into: row, count: z.columns)
            } else {
              loops.exponentials(
                row, count: z.columns, shift: sums.peak(j, r), factor: Float(share))
            }
          }
          subtractTargets(tile, z, factor)
        }
        guard j + 1 < levels else { continue }
        let above = logits(j + 1, tile)
        for r in 0..<rows {
          loops.accumulate(
            above.pointer + r * above.stride, alpha: 1, into: z.pointer + r * z.stride,
            count: z.columns)
        }
      }
    }

    private func subtractTargets(_ tile: Range<Int>, _ z: Matrix, _ factor: Float) {
      for r in 0..<rows {
        let target = Int(targets[r])
        guard tile.contains(target) else { continue }
        z.pointer[r * z.stride + target - tile.lowerBound] -= (1 - loss.smoothing) * factor
      }
      guard loss.smoothing > 0 else { return }
      let shares = Array(
        repeating: -loss.smoothing * factor / Float(table.rows), count: z.columns)
      loops.addBias(shares, to: z.pointer, rows: rows, columns: z.columns, stride: z.stride)
    }
  }

  /// Sums of exponentials over the items so far, and what the logits are expected to be, for each
  /// level and row.
  private struct Normalizers {
    private var peaks: [Float]
    /// Those of each tile alone, where its exponentials are kept.
    var tilePeaks: [Float] = []
    private var sums: [Double]
    private var expectations: [Double]
    private let rows: Int

    init(levels: Int, rows: Int) {
      self.rows = rows
      peaks = Array(repeating: -.infinity, count: levels * rows)
      sums = Array(repeating: 0, count: levels * rows)
      expectations = sums
    }

    mutating func add(_ sum: Float, peak: Float, _ j: Int, _ r: Int) {
      let i = j * rows + r
      if peak > peaks[i] {
        sums[i] = sums[i] * exp(Double(peaks[i] - peak)) + Double(sum)
        peaks[i] = peak
      } else {
        sums[i] += Double(sum) * exp(Double(peak - peaks[i]))
      }
    }

    mutating func expect(_ value: Double, _ j: Int, _ r: Int) {
      expectations[j * rows + r] += value
    }

    func peak(_ j: Int, _ r: Int) -> Float { peaks[j * rows + r] }

    func peak(_ j: Int, _ r: Int, tile: Int) -> Float {
      tilePeaks[tile * peaks.count + j * rows + r]
    }

    /// The sum of exponentials of what the logits are less than the peak.
    func sum(_ j: Int, _ r: Int) -> Double { sums[j * rows + r] }

    func logSum(_ j: Int, _ r: Int) -> Double { Double(peak(j, r)) + log(sum(j, r)) }

    func expected(_ j: Int, _ r: Int) -> Double { expectations[j * rows + r] }
  }
}
