import Autograd
import Interactions
import Layers
import Testing
import VectorLoops
import _TestSupport

/// Layers of nested models: their first outputs depend on their first inputs alone.
@Suite struct NestedLayerTests {
  private let sizes = [5, 9, 20]

  private func random(_ rows: Int, _ columns: Int, seed: UInt64) -> Tensor {
    Tensor(randomFloats(rows * columns, seed: seed), shape: [rows, columns])
  }

  /// Changing what lies beyond a size leaves the outputs of that size as they are, to the bit.
  private func expectNested(
    _ label: String, inputs: Int = 1, outputs: Int = 1, _ layer: (Tensor) -> Tensor
  ) {
    let width = 20 * inputs
    let x = random(7, width, seed: 80)
    let y = layer(x)
    for size in sizes.dropLast() {
      let other = Tensor(x.values, shape: [7, width])
      for r in 0..<7 {
        for c in (size * inputs)..<width { other.pointer[r * width + c] = 9 }
      }
      let found = layer(other)
      let kept = size * outputs
      expectSameBits(
        found.block(columns: 0..<kept).values, y.block(columns: 0..<kept).values,
        "\(label) at \(size)")
      #expect(found.values != y.values, "\(label) reads all of its inputs")
    }
  }

  @Test(arguments: [1, 2, 4], [1, 2, 4])
  func nestedMapsKeepPrefixes(inputs: Int, outputs: Int) {
    var initializer = Initializer(seed: 1, deviation: 0.3)
    let map = NestedLinear(
      20 * inputs, 20 * outputs, shape: NestedShape(sizes: sizes), using: &initializer)
    expectNested("NestedLinear", inputs: inputs, outputs: outputs) { map($0, on: .inference) }
  }

  @Test func normsOfChunksKeepPrefixes() {
    let norm = LayerNorm(20, epsilon: 1e-5, sizes: sizes)
    expectNested("LayerNorm") { norm($0, on: .inference) }
  }

  @Test func recurrencesKeepPrefixes() {
    var initializer = Initializer(seed: 2, deviation: 0.3)
    let ring = LinearRecurrence.Ring(inner: 0.3, outer: 0.9, maximalPhase: 3)
    let recurrence = LinearRecurrence(
      dim: 20, channels: 40, ring: ring, sizes: sizes, using: &initializer)
    let batch = PackedBatch(items: Array(repeating: 0, count: 7), offsets: [0, 3, 7], users: nil)
    expectNested("LinearRecurrence") { recurrence($0, batch, on: .inference) }
  }

  @Test func gatedMapsKeepPrefixes() {
    var initializer = Initializer(seed: 3, deviation: 0.3)
    let map = GatedFeedForward(dim: 20, valueDropout: 0, sizes: sizes, using: &initializer)
    map.initializeUniform(using: &initializer)
    expectNested("GatedFeedForward") { map($0, on: .inference) }
  }

  /// Planes by themselves are those of the whole result, forward and backward.
  @Test func planesOfANestedMapAreThoseOfAll() {
    var initializer = Initializer(seed: 4, deviation: 0.3)
    let shape = NestedShape(sizes: sizes, outputPlanes: 3)
    let map = NestedLinear(20, 60, shape: shape, using: &initializer)
    let x = random(7, 20, seed: 81)
    x.needsGradient = true
    func gradients(_ result: (Pass) -> Tensor) -> (values: [Float], store: GradientStore) {
      let tape = Tape()
      let y = result(Pass(tape: tape))
      tape.backward(from: y, cotangent: (0..<y.count).map { Float($0 % 13) - 6 })
      return (y.values, tape.store)
    }
    let all = gradients { map(x, on: $0) }
    let parts = gradients { pass in
      concatenate(
        [map(x, outputs: 0..<20, on: pass), map(x, outputs: 20..<60, on: pass)], on: pass)
    }
    expectSameBits(parts.values, all.values, "values")
    for named in map.parameters() {
      let found = parts.store[named.value]?.values ?? []
      expectClose(
        found, (all.store[named.value]?.values ?? []).map { Double($0) }, .products, named.name)
    }
  }

  /// P_tri of the specification: 2 / 3 of a dense map for doubling sizes.
  @Test func nestingLeavesTwoThirdsOfTheProducts() {
    let doubling = [8, 16, 32, 64, 128, 256, 512, 1024]
    #expect(linearProducts(1024, 1024, sizes: doubling) == 699_072)
    #expect(linearProducts(1024, 2048, sizes: doubling) == 2 * 699_072)
    #expect(linearProducts(1024, 1024, sizes: nil) == 1024 * 1024)
    #expect(linearProducts(64, 64, sizes: [64]) == 64 * 64)
  }
}
