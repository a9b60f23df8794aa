import Autograd
import Interactions
import Kernels
import Layers

/// A block of a model that mixes positions with a linear recurrence alone.
protocol RecurrentBlock: Module {
  var recurrence: LinearRecurrence { get }

  /// What the recurrence reads, on any rows.
  func input(_ x: Tensor, on pass: Pass) -> Tensor

  /// What follows the recurrence, on any rows: `x` is what the block read.
  func finish(_ x: Tensor, _ mixed: Tensor, on pass: Pass) -> Tensor
}

extension Array where Element: RecurrentBlock {
  /// The states after each token.
  ///
  /// - Shapes: `x` and the result are `[tokens, dim]`.
  func encode(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    reduce(x) { x, block in
      block.finish(x, block.recurrence(block.input(x, on: pass), batch, on: pass), on: pass)
    }
  }

  /// The states after the last token of each history. Where the pass records nothing, the last block
  /// computes no others.
  ///
  /// - Shapes: `x` is `[tokens, dim]`, the result is `[histories, dim]`.
  func encodeLast(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    guard pass.tape == nil, let block = last else {
      return gather(encode(x, batch, on: pass), rows: batch.lastTokens, on: pass)
    }
    let x = Array(dropLast()).encode(x, batch, on: pass)
    let mixed = block.recurrence.last(block.input(x, on: pass), batch, on: pass)
    return block.finish(gather(x, rows: batch.lastTokens, on: pass), mixed, on: pass)
  }

  /// The numbers that stand for one person's past.
  var stateSize: Int { reduce(0) { $0 + $1.recurrence.stateSize } }

  /// What a nested model of width `dim` keeps at a smaller one: the beginning of the real and of the
  /// imaginary parts of each block.
  func stateParts(of size: Int, dim: Int) -> [(whole: Int, kept: Int)] {
    flatMap { block in
      let whole = block.recurrence.stateSize / 2
      return repeatElement((whole: whole, kept: whole / dim * size), count: 2)
    }
  }

  /// The states after one more token of each person.
  ///
  /// - Shapes: `x` and the result are `[people, dim]`; `states` is `[people, stateSize]` and is
  ///   advanced in place.
  func advance(_ states: Matrix, by x: Tensor) -> Tensor {
    var (x, column) = (x, 0)
    for block in self {
      let size = block.recurrence.stateSize
      let mixed = block.recurrence.advance(
        states.columns(column..<(column + size)), by: block.input(x, on: .inference))
      x = block.finish(x, mixed, on: .inference)
      column += size
    }
    return x
  }

  /// Multiply-adds of `encodeLast` for one history of `length` tokens.
  ///
  /// - Parameter afterwards: those of a token after the recurrence.
  func macs(length: Int, dim: Int, channels: Int, afterwards: Int, sizes: [Int]?) -> Int {
    guard !isEmpty else { return 0 }
    // B and the recurrence, whose gamma b + lambda h is six products of real numbers.
    let states = linearProducts(dim, 2 * channels, sizes: sizes) + 6 * channels
    let maps = linearProducts(2 * channels, dim, sizes: sizes) + afterwards
    // The last block maps its last state alone.
    return (count - 1) * length * (states + maps) + length * states + maps
  }
}

extension Fields {
  /// Reads where the eigenvalues of linear recurrences begin.
  mutating func ring(default standard: LinearRecurrence.Ring) throws(InvalidArgument)
    -> LinearRecurrence.Ring
  {
    var ring = standard
    ring.inner = try number("ring_min", default: ring.inner, from: 0, to: 1)
    ring.outer = try number("ring_max", default: ring.outer, from: 0, to: 1, isClosed: true)
    try require(
      ring.inner < ring.outer,
      "ring_min must be below ring_max, got \(ring.inner) and \(ring.outer)")
    ring.maximalPhase = try number("max_phase", default: ring.maximalPhase, from: 0)
    try require(ring.maximalPhase > 0, "max_phase must be above 0, got 0")
    return ring
  }
}
