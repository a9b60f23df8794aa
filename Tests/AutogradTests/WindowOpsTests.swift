import Autograd
import Testing
import _TestSupport

@Suite struct WindowOpsTests {
  private let offsets = [0, 1, 6, 6, 9]
  private let columns = 19

  /// The rows of the history of row r that are at most `width` - 1 before it, the newest first.
  private func newest(_ r: Int, _ width: Int) -> [Int] {
    let start = offsets.last { $0 <= r } ?? 0
    return (max(start, r - width + 1)...r).reversed()
  }

  @Test(arguments: [1, 2, 3, 7])
  func slidingMaximumTakesTheLargestOfTheNewest(width: Int) {
    expectFollows(
      "slidingMaximum", inputs: [[9, columns], [columns]], seed: 500, .rounding,
      reference: { x in
        (0..<9).flatMap { r in
          (0..<columns).map { c in
            let rows = newest(r, width)
            let inside = rows.map { x[0][$0 * columns + c] }
            return (inside + (rows.count < width ? [x[1][c]] : [])).max() ?? .nan
          }
        }
      },
      op: { x, pass in
        slidingMaximum(x[0], before: x[1], width: width, offsets: offsets, on: pass)
      })
  }

  @Test func windowsWithoutANumberHandTheirGradientToOneOfTheirRows() {
    let x = leaf(Array(repeating: .nan, count: 6), shape: [6, 1])
    let before = leaf([0], shape: [1])
    let tape = Tape()
    let y = slidingMaximum(x, before: before, width: 2, offsets: [0, 6], on: Pass(tape: tape))
    tape.backward(from: y)
    #expect(tape.store[x]?.values == [1, 1, 1, 1, 1, 0])
    #expect(tape.store[before]?.values == [1])
  }

  @Test(arguments: [1, 2, 4])
  func weightedRowsSumTheNewest(width: Int) {
    let taps = ConvolutionTaps(kernel: width, dilation: 1, offsets: offsets)
    expectFollows(
      "weightedRows", inputs: [[9, columns], [3, width], [3]], seed: 510, .sums,
      reference: { x in
        (0..<9).flatMap { r in
          (0..<3).flatMap { k in
            (0..<columns).map { c in
              newest(r, width).enumerated().reduce(x[2][k]) { sum, row in
                sum + x[1][k * width + width - 1 - row.offset] * x[0][row.element * columns + c]
              }
            }
          }
        }
      },
      op: { x, pass in
        weightedRows(x[0], weight: x[1], bias: x[2], taps: taps, on: pass)
      })
  }
}
