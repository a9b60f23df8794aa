public import Autograd
public import Testing

/// Expects numbers to be close to a reference, and to be as many.
public func expectClose(
  _ actual: [Float], _ expected: [Double], _ tolerance: Tolerance, _ label: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.count == expected.count else {
    Issue.record(
      "\(label): \(actual.count) numbers, expected \(expected.count)",
      sourceLocation: sourceLocation)
    return
  }
  let largest = expected.reduce(0) { max($0, abs($1)) }
  let limit = tolerance.relative * largest + tolerance.absolute
  // Not "above the limit": NaN is close to nothing.
  let wrong = actual.indices.filter { !(abs(Double(actual[$0]) - expected[$0]) <= limit) }
  func difference(_ i: Int) -> Double { abs(Double(actual[i]) - expected[i]) }
  let noNumber = wrong.first { difference($0).isNaN }
  guard let worst = noNumber ?? wrong.max(by: { difference($0) < difference($1) }) else { return }
  Issue.record(
    """
    \(label): \(wrong.count) of \(actual.count) numbers are wrong, most of all [\(worst)]: \
    \(actual[worst]), expected \(expected[worst]), limit \(limit)
    """, sourceLocation: sourceLocation)
}

/// Expects a tensor to have the shape of a reference and to be close to it.
public func expectClose(
  _ actual: Tensor?, _ expected: FixtureArray, _ tolerance: Tolerance, _ label: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard let actual, actual.shape == expected.shape else {
    Issue.record(
      "\(label): shape \(actual.map { "\($0.shape)" } ?? "nil"), expected \(expected.shape)",
      sourceLocation: sourceLocation)
    return
  }
  expectClose(actual.values, expected.values, tolerance, label, sourceLocation: sourceLocation)
}

/// Expects two arrays to hold the same bits: zeros have signs, and NaN equals itself.
public func expectSameBits(
  _ actual: [Float], _ expected: [Float], _ label: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.count == expected.count else {
    Issue.record(
      "\(label): \(actual.count) numbers, expected \(expected.count)",
      sourceLocation: sourceLocation)
    return
  }
  let wrong = actual.indices.filter { actual[$0].bitPattern != expected[$0].bitPattern }
  guard let first = wrong.first else { return }
  Issue.record(
    """
    \(label): \(wrong.count) of \(actual.count) numbers differ, first [\(first)]: \
    \(actual[first]), expected \(expected[first])
    """, sourceLocation: sourceLocation)
}
