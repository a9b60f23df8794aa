import Interactions
import Layers
import Models
import Testing
import Training
import _TestSupport

/// Histories that go round a circle of items, from random starts: after item i comes item i + 1.
func circle(items: Int, count: Int, lengths: ClosedRange<Int>, seed: UInt64 = 1) -> Histories {
  var generator = SplitMix64(seed: seed)
  return Histories(
    (0..<count).map { _ in
      let start = Int.random(in: 0..<items, using: &generator)
      let length = Int.random(in: lengths, using: &generator)
      return (0..<length).map { Int32((start + $0) % items) }
    })
}

/// A small model; `change` may alter its configuration.
func smallModel(items: Int, _ change: (inout SASRec.Configuration) -> Void = { _ in }) -> SASRec {
  var c = SASRec.Configuration(items: items)
  (c.dim, c.innerDim, c.blocks, c.heads, c.maxLength) = (16, 24, 1, 2, 20)
  (c.dropout, c.initialStd, c.seed) = (0, 0.1, 3)
  change(&c)
  return SASRec(c)
}

func weights(_ model: SASRec) -> [[Float]] { model.parameters().map(\.value.values) }

/// Expects two models to have the same bits.
func expectSameWeights(
  _ actual: [[Float]], _ expected: [[Float]], _ label: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(actual.count == expected.count, sourceLocation: sourceLocation)
  for (a, b) in zip(actual, expected) {
    expectSameBits(a, b, label, sourceLocation: sourceLocation)
  }
}
