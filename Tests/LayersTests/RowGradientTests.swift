import Autograd
import Layers
import Testing
import _TestSupport

/// Tables whose gradients are kept as rows, and the lazy form of Adam.
@Suite struct RowGradientTests {
  private let rows: [Int32] = [2, 7, 2, 4]

  /// Steps of Adam on the gradient of some look-ups; `keeping` keeps their gradients as rows.
  private func train(steps: Int, keeping: Bool, decoupled: Bool = false) -> (Tensor, [Float]) {
    let module = Parameters(shapes: [[9, 5]], seed: 4)
    let table = module.parts[0].value.value
    let start = table.values
    var configuration = Adam.Configuration()
    configuration.weightDecay = decoupled ? 0.1 : 0
    configuration.isDecoupled = decoupled
    let adam = Adam(module.parameters(), configuration)
    for step in 0..<steps {
      let store = GradientStore()
      if keeping { store.keepsRows = [ObjectIdentifier(table)] }
      let tape = Tape(store: store)
      let y = gather(table, rows: step == 0 ? rows : [2], on: Pass(tape: tape))
      tape.backward(from: y, cotangent: randomFloats(y.count, seed: UInt64(20 + step)))
      store.merge([], of: [table], workers: 1)
      adam.step(store, workers: 2)
    }
    return (table, start)
  }

  private func row(_ i: Int, _ values: [Float]) -> [Float] { Array(values[(5 * i)..<(5 * i + 5)]) }

  @Test(arguments: [false, true])
  func theFirstStepIsThatOfADenseGradientInTheTouchedRows(decoupled: Bool) {
    let (lazy, start) = train(steps: 1, keeping: true, decoupled: decoupled)
    let (dense, _) = train(steps: 1, keeping: false, decoupled: decoupled)
    for i in 0..<9 {
      if rows.contains(Int32(i)) {
        let expected = row(i, dense.values).map { Double($0) }
        expectClose(row(i, lazy.values), expected, .optimiser, "row \(i)")
        #expect(row(i, lazy.values) != row(i, start))
      } else {
        expectSameBits(row(i, lazy.values), row(i, start), "row \(i)")
      }
    }
  }

  @Test func laterStepsMoveOnlyTouchedRows() {
    let (once, _) = train(steps: 1, keeping: true)
    let (twice, _) = train(steps: 2, keeping: true)
    let (dense, _) = train(steps: 2, keeping: false)
    for i in 0..<9 where i != 2 {
      expectSameBits(row(i, twice.values), row(i, once.values), "row \(i)")
    }
    #expect(row(2, twice.values) != row(2, once.values))
    // With a dense gradient the moments of the first step move a row again.
    #expect(row(7, dense.values) != row(7, once.values))
  }

  @Test func normAndClippingSeeRowGradients() {
    let module = Parameters(shapes: [[9, 5], [3]], seed: 5)
    let (table, other) = (module.parts[0].value.value, module.parts[1].value.value)
    let store = GradientStore()
    store.keepsRows = [ObjectIdentifier(table)]
    let tape = Tape(store: store)
    // Row 1 is looked up twice: its gradient is the sum, whose square is not that of its parts.
    let y = gather(table, rows: [1, 3, 1], on: Pass(tape: tape))
    let cotangent = randomFloats(15, seed: 30)
    tape.backward(from: y, cotangent: cotangent)
    store.merge([], of: [table, other], workers: 1)
    store[other] = Tensor([3, 0, 4], shape: [3])
    let sums = (0..<10).map { Double(cotangent[$0]) + ($0 < 5 ? Double(cotangent[$0 + 10]) : 0) }
    let norm = sums.reduce(25) { $0 + $1 * $1 }.squareRoot()
    expectClose([Float(store.norm(of: module.parameters()))], [norm], .sums, "norm")
    store.clip(module.parameters(), norm: norm / 4)
    let clipped = store.rowGradients(of: table).flatMap(\.values.values)
    expectClose(clipped, sums.map { $0 / 4 }, .sums, "rows")
    #expect(store.firstNotFinite(module.parameters()) == nil)
    store.rowGradients(of: table)[0].values.pointer[7] = .infinity
    #expect(store.firstNotFinite(module.parameters()) == "parts.0.value")
  }

  @Test func gradientsThatAreNotFiniteAreNamed() {
    let module = Parameters(shapes: [[4], [2, 3]], seed: 6)
    let store = GradientStore()
    for part in module.parts {
      let tensor = part.value.value
      store[tensor] = Tensor(randomFloats(tensor.count, seed: 31), shape: tensor.shape)
    }
    #expect(store.firstNotFinite(module.parameters()) == nil)
    store[module.parts[1].value.value]?.pointer[5] = .nan
    #expect(store.firstNotFinite(module.parameters()) == "parts.1.value")
  }
}
