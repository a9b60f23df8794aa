import Autograd
import Testing
import _TestSupport

@Suite struct TapeTests {
  private let a = randomLeaf(shape: [2, 3], seed: 20)
  private let b = randomLeaf(shape: [2, 3], seed: 21)

  @Test func noGradientFlowsThroughStopGradient() throws {
    let tape = Tape()
    let pass = Pass(tape: tape)
    let product = multiply(a, b, on: pass)
    let stopped = product.stopGradient()
    expectSameBits(stopped.values, product.values, "the numbers")
    let y = add(stopped, scale(a, by: 3, on: pass), on: pass)
    tape.backward(from: y)
    expectSameBits(try #require(tape.store[a]).values, Array(repeating: 3, count: 6), "a")
    #expect(tape.store[b] == nil)
  }

  @Test func stoppedParametersAreConstants() throws {
    let tape = Tape()
    let y = multiply(a.stopGradient(), b, on: Pass(tape: tape))
    tape.backward(from: y)
    #expect(tape.store[a] == nil)
    expectSameBits(try #require(tape.store[b]).values, a.values, "gradient of b")
  }

  @Test func onlyWantedParametersGetGradients() throws {
    for (wanted, other) in [(a, b), (b, a)] {
      let tape = Tape(wanted: [wanted])
      let y = multiply(a, b, on: Pass(tape: tape))
      tape.backward(from: y)
      expectSameBits(try #require(tape.store[wanted]).values, other.values, "the wanted gradient")
      #expect(tape.store[other] == nil)
    }
  }

  @Test func wantedParametersAreFoundBelowTheirBlocks() throws {
    let tape = Tape(wanted: [a])
    let pass = Pass(tape: tape)
    let x = Tensor(randomFloats(8, seed: 22), shape: [4, 2])
    let y = add(
      linear(x, weight: a.block(columns: 0..<2), on: pass),
      linear(x, weight: b.block(columns: 1..<3), on: pass), on: pass)
    tape.backward(from: y)
    #expect(tape.store[a] != nil)
    #expect(tape.store[b] == nil)
  }

  @Test func nothingIsRecordedWhereNothingIsWanted() {
    let tape = Tape(wanted: [])
    let y = multiply(a, b, on: Pass(tape: tape))
    #expect(!y.needsGradient)
    tape.backward(from: y)
    #expect(tape.store[a] == nil && tape.store[b] == nil)
  }

  @Test func frozenParametersGetNoGradient() {
    b.needsGradient = false
    let tape = Tape()
    let y = multiply(a, b, on: Pass(tape: tape))
    tape.backward(from: y)
    #expect(tape.store[a] != nil && tape.store[b] == nil)
  }

  @Test func aResultUsedTwiceGetsTheSumOfItsGradients() throws {
    let tape = Tape()
    let pass = Pass(tape: tape)
    let x = scale(a, by: 2, on: pass)
    let y = add(multiply(x, x, on: pass), x, on: pass)
    tape.backward(from: y)
    // d/da of (2a)^2 + 2a
    let expected = a.values.map { 8 * Double($0) + 2 }
    expectClose(try #require(tape.store[a]).values, expected, .rounding, "gradient")
  }

  @Test func backwardAddsToWhatTheStoreHolds() throws {
    let store = GradientStore()
    for _ in 0..<3 {
      let tape = Tape(store: store)
      tape.backward(from: scale(a, by: 2, on: Pass(tape: tape)))
    }
    expectSameBits(try #require(store[a]).values, Array(repeating: 6, count: 6), "three times")
    store.removeAll()
    #expect(store[a] == nil)
  }

  @Test func pullbacksMayNotChangeTheirInputs() throws {
    // Every op that writes to the gradient it gets is followed by another user of that gradient.
    let tape = Tape()
    let pass = Pass(tape: tape)
    let (weight, bias) = (randomLeaf(shape: [3], seed: 23), randomLeaf(shape: [3], seed: 24))
    let sum = add(a, b, on: pass)
    let y = add(
      layerNorm(sum, weight: weight, bias: bias, epsilon: 1e-5, on: pass),
      activate(sum, .gelu, on: pass), on: pass)
    let before = [a, b, weight, bias, sum, y].map(\.values)
    tape.backward(from: y, cotangent: randomFloats(6, seed: 25))
    for (tensor, values) in zip([a, b, weight, bias, sum, y], before) {
      expectSameBits(tensor.values, values, "a tensor after backward")
    }
    expectSameBits(
      try #require(tape.store[a]).values, try #require(tape.store[b]).values, "both terms")
  }

  @Test func lookUpsScaleTheirRows() throws {
    let rows: [Int32] = [1, 0, 1]
    let tape = Tape()
    let y = gather(a, rows: rows, scale: -2, on: Pass(tape: tape))
    expectSameBits(
      y.values, rows.flatMap { r in a.values[(Int(r) * 3)..<(Int(r) * 3 + 3)].map { -2 * $0 } },
      "rows")
    tape.backward(from: y)
    expectSameBits(try #require(tape.store[a]).values, [-2, -2, -2, -4, -4, -4], "gradient")
  }
}
