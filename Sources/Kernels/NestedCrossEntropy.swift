import Glibc
import VectorLoops

/// The ranges of columns between nested sizes, ascending.
public func chunks(_ sizes: [Int]) -> [Range<Int>] {
  zip([0] + sizes, sizes).map { $0..<$1 }
}

/// The weighted sum of softmax cross-entropies of the first s[j] numbers of hidden states against
/// the first s[j] columns of a table of items, for all sizes s at once (Kusupati et al., "Matryoshka
/// Representation Learning", NeurIPS 2022).
///
/// The logits of a size are those of the size before and the product of one more chunk of columns,
/// so all sizes take the matrix products of the largest. They exist for a tile of rows and items at
/// a time. Where all items do not fit in a tile, a first pass finds the normalisers and a second one
/// the logits again.
public struct NestedCrossEntropy {
  public let sizes: [Int]
  /// The weight of each size.
  public let weights: [Float]
  /// Each row's loss and gradient are multiplied by this.
  public let scale: Float
  public let smoothing: Float
  /// The logits of a tile, those of all sizes together.
  private let tileCount: Int

  public init(
    sizes: [Int], weights: [Float], scale: Float, smoothing: Float = 0, tileCount: Int = 1 << 18
  ) {
    self.sizes = sizes
    self.weights = weights
    self.scale = scale
    self.smoothing = smoothing
    self.tileCount = tileCount
  }

  /// Rows of a tile: enough for the matrix products.
  private static let rowsAtOnce = 256

  /// Returns the loss, in double precision.
  ///
  /// - Shapes: `hidden` and `dHidden` are `[rows, dim]`, `table` and `dTable` are `[items, dim]`,
  ///   `bias` and `dBias` are `[items]`.
  /// - Parameters:
  ///   - dHidden: written, where gradients are wanted.
  ///   - dTable: added to where `tableBeta` is 1, written where it is 0.
  ///   - dBias: added to.
  public func callAsFunction(
    hidden: Matrix, table: Matrix, bias: Input? = nil, targets: UnsafePointer<Int32>,
    dHidden: Matrix? = nil, dTable: Matrix? = nil, tableBeta: Float = 1, dBias: Output? = nil
  ) -> Double {
    precondition(
      sizes.last == table.columns && weights.count == sizes.count, "sizes end at the table's width")
    if hidden.rows == 0, tableBeta == 0 { dTable?.zero() }
    let columns = chunks(sizes)
    var loss = 0.0
    for start in stride(from: 0, to: hidden.rows, by: Self.rowsAtOnce) {
      let rows = start..<min(start + Self.rowsAtOnce, hidden.rows)
      let part = Rows(
        loss: self, hidden: hidden.rows(rows), table: table, bias: bias,
        targets: targets + start, columns: columns)
      loss += part.run(
        dHidden: dHidden?.rows(rows), dTable: dTable, tableBeta: start == 0 ? tableBeta : 1,
        dBias: dBias)
    }
    return loss * Double(scale)
  }

  /// Some rows against all items.
  private struct Rows {
    let loss: NestedCrossEntropy
    let hidden: Matrix
    let table: Matrix
    let bias: Input?
    let targets: UnsafePointer<Int32>

    /// The columns of each level.
    let columns: [Range<Int>]

    private var levels: Int { columns.count }
    private var rows: Int { hidden.rows }

    func run(dHidden: Matrix?, dTable: Matrix?, tableBeta: Float, dBias: Output?) -> Double {
      // Whole vectors, as the last one of a row is written whole.
      let width = max(16, min(table.rows + 15, loss.tileCount / (levels * rows)) & ~15)
      let tiles = stride(from: 0, to: table.rows, by: width).map {
        $0..<min($0 + width, table.rows)
      }
      let buffer = Buffer(count: levels * rows * width)
      /// The logits of level j for the items of a tile.
      func logits(_ j: Int, _ tile: Range<Int>) -> Matrix {
        Matrix(buffer, from: j * rows * width, rows: rows, columns: width)
          .block(rows: rows, columns: tile.count)
      }
      var sums = Normalizers(levels: levels, rows: rows)
      for tile in tiles {
        fill(tile, logits)
        for j in 0..<levels { take(tile, logits(j, tile), j, &sums) }
      }
      let logSums = Buffer(count: levels * rows)
      var total = 0.0
      for j in 0..<levels where loss.weights[j] != 0 {
        for r in 0..<rows {
          let logSum = sums.logSum(j, r)
          total += Double(loss.weights[j]) * (logSum - sums.expected(j, r))
          // The softmax times weight and scale is exp(z - this).
          let factor = Double(loss.weights[j] * loss.scale)
          logSums.pointer[j * rows + r] = Float(logSum - log(factor))
        }
      }
      guard dHidden != nil || dTable != nil || dBias != nil else { return total }
      for tile in tiles {
        if tiles.count > 1 { fill(tile, logits) }
        differentiate(tile, logits, logSums)
        let items = table.rows(tile)
        for j in 0..<levels {
          let (a, c) = (logits(j, tile), columns[j])
          if let dHidden {
            gemm(
              a, items.columns(c), into: dHidden.columns(c), beta: tile.lowerBound == 0 ? 0 : 1)
          }
          if let dTable {
            gemm(
              a, hidden.columns(c), transposeA: true, into: dTable.rows(tile).columns(c),
              beta: tableBeta)
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
    private func fill(_ tile: Range<Int>, _ logits: (Int, Range<Int>) -> Matrix) {
      let items = table.rows(tile)
      for j in 0..<levels {
        let z = logits(j, tile)
        if j > 0 { z.copy(from: logits(j - 1, tile)) }
        gemm(
          hidden.columns(columns[j]), items.columns(columns[j]), transposeB: true, into: z,
          beta: j == 0 ? 0 : 1, bias: j == 0 ? bias.map { $0 + tile.lowerBound } : nil)
      }
    }

    /// Takes the logits of a level into its normalisers.
    private func take(_ tile: Range<Int>, _ z: Matrix, _ j: Int, _ sums: inout Normalizers) {
      for r in 0..<rows {
        let row = z.pointer + r * z.stride
        var peak: Float = 0
        let sum = loops.sumOfExponentials(row, count: z.columns, peak: &peak)
        sums.add(sum, peak: peak, j, r)
        let target = Int(targets[r])
        if tile.contains(target) {
          let share = Double(1 - loss.smoothing)
          sums.expect(share * Double(row[target - tile.lowerBound]), j, r)
        }
        if loss.smoothing > 0 {
          let mean = Double(loops.total(row, count: z.columns)) / Double(table.rows)
          sums.expect(Double(loss.smoothing) * mean, j, r)
        }
      }
    }

    /// Replaces the logits of each level by the sum of the gradients of this level and those above:
    /// what the chunk of this level gets.
    private func differentiate(
      _ tile: Range<Int>, _ logits: (Int, Range<Int>) -> Matrix, _ logSums: Buffer
    ) {
      for j in (0..<levels).reversed() {
        let z = logits(j, tile)
        let factor = loss.weights[j] * loss.scale
        if factor == 0 {
          z.zero()
        } else {
          loops.causalProbabilities(
            z.pointer, rows: rows, columns: z.columns, stride: z.stride, first: z.columns,
            scale: 1, logSums: logSums.pointer + j * rows)
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

    func logSum(_ j: Int, _ r: Int) -> Double {
      Double(peaks[j * rows + r]) + log(sums[j * rows + r])
    }

    func expected(_ j: Int, _ r: Int) -> Double { expectations[j * rows + r] }
  }
}
