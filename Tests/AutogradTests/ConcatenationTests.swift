import Autograd
import Testing
import _TestSupport

@Suite struct ConcatenationTests {
  private func row(_ x: [Double], _ r: Int, columns: Int) -> [Double] {
    Array(x[(r * columns)..<((r + 1) * columns)])
  }

  @Test func partsStandSideBySide() {
    expectFollows(
      "concatenate", inputs: [[4, 3], [4, 1], [4, 2]], seed: 90, .rounding,
      reference: { x in
        (0..<4).flatMap { r in
          row(x[0], r, columns: 3) + row(x[1], r, columns: 1) + row(x[2], r, columns: 2)
        }
      }, op: { concatenate($0, on: $1) })
    #expect(
      concatenate([Tensor(shape: [4, 3]), Tensor(shape: [4, 2])], on: .inference).shape == [4, 5])
  }

  @Test func rowsStandInTurn() {
    expectFollows(
      "interleave", inputs: [[4, 3], [4, 3]], seed: 91, .rounding,
      reference: { x in (0..<4).flatMap { row(x[0], $0, columns: 3) + row(x[1], $0, columns: 3) } },
      op: { interleave($0, on: $1) })
    #expect(
      interleave([Tensor(shape: [4, 3]), Tensor(shape: [4, 3])], on: .inference).shape == [8, 3])
  }

  @Test func partsMayBeViewsOfOneTensor() {
    expectFollows(
      "views", inputs: [[3, 4]], seed: 92, .rounding,
      reference: { x in
        (0..<3).flatMap { r in
          let row = row(x[0], r, columns: 4)
          return [row[2], row[3], row[0], row[1]]
        }
      },
      op: { x, pass in
        concatenate([x[0].block(columns: 2..<4), x[0].block(columns: 0..<2)], on: pass)
      })
  }
}
