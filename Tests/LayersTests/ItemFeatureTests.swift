import Autograd
import Interactions
import Layers
import Testing
import _TestSupport

@Suite struct ItemFeatureTests {
  private func categories(_ pooling: Pooling) -> CategoryFeature {
    var initializer = Initializer(seed: 1, deviation: 1)
    let feature = CategoryFeature(
      items: 4, values: 3, dim: 2, pooling: pooling, using: &initializer)
    for i in 0..<6 { feature.embedding.value.pointer[i] = Float(i) }  // [0, 1], [2, 3], [4, 5]
    return feature
  }

  @Test(arguments: [
    (Pooling.sum, [4, 6, 0, 0, 6, 8] as [Float]), (.mean, [2, 3, 0, 0, 3, 4]),
    (.max, [4, 5, 0, 0, 4, 5]),
  ])
  func valuesOfAnItemArePooled(pooling: Pooling, expected: [Float]) {
    let feature = categories(pooling)
    let items: [Int32] = [3, 1, 0]
    #expect(feature(items, on: .inference).values == Array(repeating: 0, count: 6))
    feature.set(Histories([[1, 2], [], [1], [2, 0]]))
    #expect(feature(items, on: .inference).values == expected)
    #expect(feature([4, 4], on: .inference).values == [0, 0, 0, 0])
    #expect(feature([], on: .inference).shape == [0, 2])
    #expect(feature.valueCount == 3 && feature.macs == 0)
    // Repeats of an item add up, and values of other items get nothing.
    let tape = Tape()
    feature.set(Histories([[], [2], [0, 1], []]))
    tape.backward(from: feature([1, 1], on: Pass(tape: tape)))
    #expect(tape.store[feature.embedding.value]?.values == [0, 0, 0, 0, 2, 2])
  }

  @Test func vectorsGoThroughAMap() throws {
    var initializer = Initializer(seed: 1, deviation: 1)
    let feature = VectorFeature(items: 3, width: 2, dim: 1, using: &initializer)
    feature.map.weight.set([10, 1])
    feature.map.bias?.set([0.5])
    let items: [Int32] = [2, 0, 3]
    #expect(feature(items, on: .inference).values == [0.5, 0.5, 0.5])
    try ([1, 2, 0, 0, 3, 4] as [Float]).withUnsafeBufferPointer { try feature.set($0) }
    #expect(feature(items, on: .inference).values == [34.5, 12.5, 0.5])
    #expect(feature.width == 2 && feature.macs == 2)
    try ([0, 0, 0, 0, 1, 0] as [Float]).withUnsafeBufferPointer { try feature.set($0) }
    #expect(feature(items, on: .inference).values == [10.5, 0.5, 0.5])
  }
}
