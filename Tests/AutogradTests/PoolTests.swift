import Autograd
import Testing
import _TestSupport

@Suite struct PoolTests {
  /// Bags of one, no, three and two rows; row 1 stands in several, and twice in one.
  private static let rows: [Int32] = [1, 4, 1, 0, 1, 1]
  private static let offsets = [0, 1, 1, 4, 6]

  private func reference(_ table: [Double], columns: Int, _ pooling: Pooling) -> [Double] {
    zip(Self.offsets, Self.offsets.dropFirst()).flatMap { start, end in
      (0..<columns).map { c in
        let numbers = Self.rows[start..<end].map { table[Int($0) * columns + c] }
        let sum = numbers.reduce(0, +)
        switch pooling {
        case .sum: return sum
        case .mean: return numbers.isEmpty ? 0 : sum / Double(numbers.count)
        case .max: return numbers.max() ?? 0
        }
      }
    }
  }

  @Test(arguments: Pooling.allCases, [1, 3, 17])
  func bagsArePooled(pooling: Pooling, columns: Int) {
    expectFollows(
      "\(pooling)", inputs: [[5, columns]], seed: 80, .rounding,
      reference: { reference($0[0], columns: columns, pooling) },
      op: { pool($0[0], rows: Self.rows, offsets: Self.offsets, by: pooling, on: $1) })
  }

  @Test func equalNumbersGiveTheGradientToTheFirst() throws {
    let table = leaf([2, 2, 1], shape: [3, 1])
    let tape = Tape()
    let y = pool(table, rows: [2, 1, 0], offsets: [0, 3], by: .max, on: Pass(tape: tape))
    tape.backward(from: y)
    #expect(try #require(tape.store[table]).values == [0, 1, 0])
  }

  @Test(arguments: Pooling.allCases)
  func withoutBagsThereIsNothing(pooling: Pooling) {
    let y = pool(
      randomLeaf(shape: [2, 3], seed: 1), rows: [], offsets: [0], by: pooling, on: .inference)
    #expect(y.shape == [0, 3])
  }
}
