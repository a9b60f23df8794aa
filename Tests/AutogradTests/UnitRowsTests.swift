import Autograd
import Testing
import _TestSupport

@Suite struct UnitRowsTests {
  @Test(arguments: [[1, 1], [3, 7], [5, 33]], [Float(1), 14.25])
  func rowsAreDividedByTheirLength(shape: [Int], scale: Float) {
    expectFollows(
      "unitRows", inputs: [shape], seed: 20, .unitRows,
      reference: { input in
        (0..<shape[0]).flatMap { r in
          let row = input[0][(r * shape[1])..<((r + 1) * shape[1])]
          let norm = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
          return row.map { Double(scale) * $0 / norm }
        }
      },
      op: { unitRows($0[0], scale: scale, on: $1) })
  }

  @Test func rowsOfZerosStayZerosAndTheirGradientStaysFinite() throws {
    let x = leaf([0, 0, 3, 4], shape: [2, 2])
    let tape = Tape()
    let y = unitRows(x, on: Pass(tape: tape))
    expectClose(y.values, [0, 0, 0.6, 0.8], .rounding, "rows")
    tape.backward(from: y, cotangent: [1, -2, 0.75, 1])
    let gradient = try #require(tape.store[x]).values
    // Below 1e-12 the divisor is constant; the other row's cotangent is along the row.
    expectClose(Array(gradient[..<2]), [1e12, -2e12], .rounding, "gradient at zero")
    expectClose(Array(gradient[2...]), [0, 0], .unitRows, "along")
  }
}
