public import Autograd
public import Kernels
public import Testing

/// Expects an op to give what a plain function in double precision gives, its gradients to be the
/// central differences of that function for a random cotangent, and its inputs to stay as they were.
public func expectFollows(
  _ label: String, inputs shapes: [[Int]], seed: UInt64, _ tolerance: Tolerance,
  reference: ([[Double]]) -> [Double], op: ([Tensor], Pass) -> Tensor,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let leaves = shapes.enumerated().map { randomLeaf(shape: $1, seed: seed + UInt64($0)) }
  let numbers = leaves.map { $0.values.map { Double($0) } }
  let expected = reference(numbers)
  let tape = Tape()
  let y = op(leaves, Pass(tape: tape))
  expectClose(y.values, expected, tolerance, "\(label): value", sourceLocation: sourceLocation)
  expectSameBits(
    op(leaves, .inference).values, y.values, "\(label): value without a tape",
    sourceLocation: sourceLocation)
  let cotangent = randomFloats(expected.count, seed: seed + 100)
  tape.backward(from: y, cotangent: cotangent)

  func product(_ moved: [[Double]]) -> Double {
    zip(reference(moved), cotangent).reduce(0) { $0 + $1.0 * Double($1.1) }
  }
  let step = 1e-5
  for (i, leaf) in leaves.enumerated() {
    let slopes = numbers[i].indices.map { j in
      var (up, down) = (numbers, numbers)
      up[i][j] += step
      down[i][j] -= step
      return (product(up) - product(down)) / (2 * step)
    }
    expectClose(
      tape.store[leaf]?.values ?? [], slopes, tolerance, "\(label): gradient of input \(i)",
      sourceLocation: sourceLocation)
    expectSameBits(
      leaf.values, numbers[i].map { Float($0) }, "\(label): input \(i) after the op",
      sourceLocation: sourceLocation)
  }
}

/// Runs an op on the inputs of a case, on a tape and without one, and compares everything that comes
/// out.
public func check(
  _ c: OperationCase, _ tolerance: Tolerance,
  _ op: (_ input: (String) throws -> Tensor, Pass) throws -> Tensor
) throws {
  let expected = try #require(c.outputs.first, "\(c.name) has no output")
  let cotangent = try #require(c.cotangents?[expected.key], "\(c.name) has no cotangent")
  let gradients = try #require(c.gradients, "\(c.name) has no gradients")
  let leaves = c.inputs.filter { gradients[$0.key] != nil }
    .mapValues { leaf($0.floats, shape: $0.shape) }
  func input(_ key: String) throws -> Tensor {
    try #require(leaves[key], "\(c.name) has no input \(key)")
  }
  let tape = Tape()
  let y = try op(input, Pass(tape: tape, precision: c.precision))
  expectClose(y, expected.value, tolerance, "\(c.name): \(expected.key)")
  tape.backward(from: y, cotangent: cotangent.floats)
  for (key, gradient) in gradients {
    let found = tape.store[try input(key)]
    expectClose(found, gradient, tolerance, "\(c.name): gradient of \(key)")
  }
  for (key, leaf) in leaves {
    let before = try c.input(key).floats
    expectSameBits(leaf.values, before, "\(c.name): \(key) after the op")
  }
  let alone = try op(input, Pass(tape: nil, precision: c.precision))
  expectClose(alone, expected.value, tolerance, "\(c.name): \(expected.key) without a tape")
}
