import Autograd
import Kernels
import Testing
import _TestSupport

@Suite struct GradientStoreTests {
  private let table = randomLeaf(shape: [9, 4], seed: 50)
  private let weight = randomLeaf(shape: [200, 100], seed: 51)

  /// Adds the gradient of some look-ups to a store.
  private func lookUp(_ rows: [Int32], _ store: GradientStore, seed: UInt64) {
    let tape = Tape(store: store)
    let y = gather(table, rows: rows, on: Pass(tape: tape))
    tape.backward(from: y, cotangent: randomFloats(rows.count * 4, seed: seed))
  }

  private func keepingRows() -> GradientStore {
    let store = GradientStore()
    store.keepsRows = [ObjectIdentifier(table)]
    return store
  }

  /// The sum of the row gradients of the table.
  private func dense(_ store: GradientStore) -> [Double] {
    var sum = Array(repeating: 0.0, count: 9 * 4)
    for part in store.rowGradients(of: table) {
      for (i, row) in part.rows.enumerated() {
        for c in 0..<4 { sum[Int(row) * 4 + c] += Double(part.values.values[i * 4 + c]) }
      }
    }
    return sum
  }

  @Test func lookUpsKeepOnlyTheirRows() throws {
    let (rows, usual) = (keepingRows(), GradientStore())
    for (i, picked) in [[3, 0, 3], [8], [0, 1]].enumerated() {
      lookUp(picked.map { Int32($0) }, rows, seed: UInt64(60 + i))
      lookUp(picked.map { Int32($0) }, usual, seed: UInt64(60 + i))
    }
    #expect(rows[table] == nil)
    #expect(rows.rowGradients(of: table).map(\.rows) == [[3, 0, 3], [8], [0, 1]])
    #expect(usual.rowGradients(of: table).isEmpty)
    expectClose(try #require(usual[table]).values, dense(rows), .sums, "rows and dense gradient")
    rows.removeAll()
    #expect(rows.rowGradients(of: table).isEmpty)
  }

  @Test func mergeAddsInOrderOnAnyNumberOfThreads() throws {
    // Numbers whose sum depends on the order of addition.
    let parts = (0..<5).map { randomFloats(20_000, seed: UInt64(70 + $0), in: -1e4...1e4) }
    func merged(_ workers: Int) throws -> [Float] {
      let stores = parts.map { values in
        let store = GradientStore()
        store[weight] = Tensor(values, shape: [200, 100])
        return store
      }
      stores[0].merge(Array(stores.dropFirst()), of: [weight], workers: workers)
      return try #require(stores[0][weight]).values
    }
    let expected = parts[0].indices.map { i in
      parts.dropFirst().reduce(parts[0][i]) { $0 + $1[i] }
    }
    for workers in [1, 2, 3, 8] {
      expectSameBits(try merged(workers), expected, "\(workers) workers")
    }
  }

  @Test func mergeTakesWhatOnlySomeStoresHave() throws {
    let other = randomLeaf(shape: [3], seed: 52)
    let stores = (0..<4).map { _ in GradientStore() }
    let values = randomFloats(20_000, seed: 76)
    stores[2][weight] = Tensor(values, shape: [200, 100])
    stores[3][other] = Tensor([1, 2, 3], shape: [3])
    stores[0].merge(Array(stores.dropFirst()), of: [weight, other, table], workers: 2)
    expectSameBits(try #require(stores[0][weight]).values, values, "one store's gradient")
    expectSameBits(try #require(stores[0][other]).values, [1, 2, 3], "another store's gradient")
    #expect(stores[0][table] == nil)
  }

  @Test func mergeAddsRowGradientsUp() {
    let stores = (0..<3).map { _ in keepingRows() }
    for (i, store) in stores.enumerated() { lookUp([Int32(i), 8], store, seed: UInt64(80 + i)) }
    let expected = stores.map { dense($0) }.reduce(Array(repeating: 0.0, count: 36)) { sum, part in
      zip(sum, part).map(+)
    }
    stores[0].merge(Array(stores.dropFirst()), of: [table], workers: 2)
    #expect(stores[0].rowGradients(of: table).map(\.rows) == [[0, 1, 2, 8]])
    expectClose(dense(stores[0]).map { Float($0) }, expected, .sums, "sum")
  }

  @Test(arguments: 0..<3)
  func mergeAddsRowsToADenseGradient(place: Int) throws {
    let stores = (0..<3).map { $0 == place ? GradientStore() : keepingRows() }
    let sparse = stores.indices.filter { $0 != place }
    lookUp([1, 2], stores[sparse[0]], seed: 90)
    lookUp([2, 5], stores[sparse[1]], seed: 91)
    let rows = zip(dense(stores[sparse[0]]), dense(stores[sparse[1]])).map(+)
    let values = randomFloats(36, seed: 92)
    stores[place][table] = Tensor(values, shape: [9, 4])
    stores[0].merge(Array(stores.dropFirst()), of: [table], workers: 2)
    #expect(stores[0].rowGradients(of: table).isEmpty)
    let expected = zip(rows, values).map { $0 + Double($1) }
    expectClose(try #require(stores[0][table]).values, expected, .sums, "rows and dense")
  }
}
