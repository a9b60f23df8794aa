import Glibc
import VectorLoops

/// How one head of linear attention decays: exp(-rate n) is left after n steps.
struct Decay {
  /// From the last step back to none.
  private let factors: Buffer
  private let last: Int

  /// Smaller factors count as 0: subnormal numbers would slow the products down.
  static let least: Float = 1e-20

  init(rate: Float, steps: Int) {
    last = steps
    factors = Buffer(count: steps + 1)
    for n in 0...steps {
      let factor = Float(exp(-Double(rate) * Double(n)))
      factors.pointer[steps - n] = factor < Self.least ? 0 : factor
    }
  }

  func factor(steps: Int) -> Float { factors.pointer[last - steps] }

  /// Lets products of the positions of a chunk with those up to each of them decay.
  func apply(toLower p: Matrix) {
    for r in 0..<p.rows {
      let row = p.pointer + r * p.stride
      loops.multiply(row, factors.pointer + last - r, into: row, count: r + 1)
    }
  }

  /// Lets sums decay by some steps.
  func apply(to sums: Matrix, steps: Int) {
    loops.scale(
      sums.pointer, alpha: factor(steps: steps), into: sums.pointer,
      count: sums.rows * sums.columns)
  }

  /// Rows of a chunk as they meet the sums of earlier chunks.
  func sinceEarlier(_ x: Matrix) -> Matrix { scaled(x) { factor(steps: $0 + 1) } }

  /// Rows of a chunk as its last one sees them.
  func untilEnd(_ x: Matrix) -> Matrix { scaled(x) { factor(steps: x.rows - 1 - $0) } }

  /// Rows times what is given for each.
  func scaled(_ x: Matrix, by factor: (Int) -> Float) -> Matrix {
    let y = Matrix(Buffer(count: x.rows * x.columns), rows: x.rows, columns: x.columns)
    for r in 0..<x.rows {
      loops.scale(
        x.pointer + r * x.stride, alpha: factor(r), into: y.pointer + r * y.stride,
        count: x.columns)
    }
    return y
  }
}
