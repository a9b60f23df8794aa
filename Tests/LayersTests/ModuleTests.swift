import Autograd
import Interactions
import Layers
import Testing
import _TestSupport

@Suite struct ModuleTests {
  private struct Network: Module {
    let firstTable = Parameter(shape: [2, 3])
    let normsOfBlocks: [LayerNorm] = [LayerNorm(3, epsilon: 0), LayerNorm(3, epsilon: 0)]
    let absent: Linear? = nil
    let present: LayerNorm? = LayerNorm(2, epsilon: 0)
    let size = 3
    let bias: Parameter? = Parameter(shape: [1])
  }

  @Test func parametersAreNamedByPathInOrderOfDeclaration() {
    #expect(
      Network().parameters().map(\.name) == [
        "first_table", "norms_of_blocks.0.weight", "norms_of_blocks.0.bias",
        "norms_of_blocks.1.weight", "norms_of_blocks.1.bias", "present.weight", "present.bias",
        "bias",
      ])
  }

  @Test func frozenParametersStay() {
    let network = Network()
    network.firstTable.isFrozen = true
    let tape = Tape()
    let y = gather(network.firstTable.value, rows: [0], on: Pass(tape: tape))
    #expect(!y.needsGradient && network.firstTable.isFrozen)
    network.firstTable.isFrozen = false
    #expect(gather(network.firstTable.value, rows: [0], on: Pass(tape: tape)).needsGradient)
  }

  @Test func snapshotsRestoreToTheBit() {
    let module = Parameters(shapes: [[5, 7], [3]], seed: 40)
    // Bits that arithmetic would change.
    module.parts[1].value.set([-0.0, .nan, .leastNonzeroMagnitude])
    let start = module.values
    let snapshot = Snapshot(of: module.parameters())
    for part in module.parts { part.value.fill(2) }
    snapshot.restore()
    for (values, expected) in zip(module.values, start) {
      expectSameBits(values, expected, "after restore")
    }
    module.parts[0].value.fill(3)
    snapshot.restore()
    expectSameBits(module.values[0], start[0], "after a second restore")
  }

  @Test func snapshotsOfBlocksLeaveTheRest() {
    let tensor = randomLeaf(shape: [4, 6], seed: 41)
    let start = tensor.values
    let snapshot = Snapshot(of: [tensor.block(rows: 1..<3, columns: 2..<5)])
    for i in 0..<tensor.count { tensor.pointer[i] = 9 }
    snapshot.restore()
    let expected = (0..<24).map { i in
      (1..<3).contains(i / 6) && (2..<5).contains(i % 6) ? start[i] : 9
    }
    expectSameBits(tensor.values, expected, "a block")
  }

  @Test func initialWeightsAreNormalAndFollowTheSeed() {
    func weights(_ seed: UInt64) -> [Float] {
      var initializer = Initializer(seed: seed, deviation: 0.02)
      let parameter = Parameter(shape: [200, 100])
      initializer.normal(parameter)
      return parameter.value.values
    }
    let values = weights(1)
    expectSameBits(weights(1), values, "the same seed")
    #expect(weights(2) != values)
    let count = Double(values.count)
    let mean = values.reduce(0) { $0 + Double($1) } / count
    let square = values.reduce(0) { $0 + Double($1) * Double($1) } / count
    // Five standard deviations of the mean, and of the mean square.
    #expect(abs(mean) < 5 * 0.02 / count.squareRoot())
    #expect(abs(square / 4e-4 - 1) < 5 * (2 / count).squareRoot())
    // A normal number is beyond two deviations with probability 0.0455.
    let far = Double(values.count { abs($0) > 0.04 })
    #expect(abs(far - 0.0455 * count) < 5 * (0.0455 * 0.9545 * count).squareRoot())
  }

  @Test func someOutputsOfALinearLayerAreThoseOfAll() {
    var initializer = Initializer(seed: 3, deviation: 1)
    let layer = Linear(4, 6, using: &initializer)
    layer.bias?.set(randomFloats(6, seed: 42))
    let x = Tensor(randomFloats(12, seed: 43), shape: [3, 4])
    let all = layer(x, on: .inference)
    let some = layer(x, outputs: 2..<5, on: .inference)
    expectClose(
      some.values, all.block(columns: 2..<5).values.map { Double($0) }, .products, "outputs")
  }
}
