import CProcessor
import VectorLoops

/// What the factors of a matrix product are rounded to. Sums are float32 in any case.
public enum Precision: String, CaseIterable, Sendable {
  case float32
  /// Eight significant bits. Up to twice as fast as float32 where the processor has an instruction
  /// for it (AVX512-BF16), slower elsewhere, and the same but for how sums are rounded, and for
  /// subnormal numbers, which the instruction takes as zero.
  case bfloat16

  /// Whether the instruction for bfloat16 is there and may be used.
  public static let hasBFloat16 =
    InstructionSet.current == .avx512 && bfloat16_is_supported() != 0
}

extension Matrix {
  /// The numbers rounded to bfloat16, to the nearest and of two to the even one.
  public func roundedToBFloat16() -> Matrix {
    let result = copy()
    for i in 0..<(rows * columns) where !result.pointer[i].isNaN {
      let bits = result.pointer[i].bitPattern
      let half = 0x7fff + (bits >> 16) & 1
      result.pointer[i] = Float(bitPattern: (bits + half) & 0xffff_0000)
    }
    return result
  }
}

extension MatrixProduct {
  /// Carries the product out on this thread with factors that are rounded to bfloat16. Only where
  /// `Precision.hasBFloat16`.
  func multiplyInBFloat16() {
    var x = bfloat16_product(
      rows: rows, depth: depth, columns: columns, a: a, a_row: aRow, a_column: aColumn, b: b,
      b_row: bRow, b_column: bColumn, c: c, c_row: cRow, alpha: alpha, beta: beta, bias: bias)
    let scratch = Buffer(count: Int(BFLOAT16_SCRATCH))
    withExtendedLifetime(scratch) { bfloat16_multiply(&x, scratch.pointer) }
  }
}
