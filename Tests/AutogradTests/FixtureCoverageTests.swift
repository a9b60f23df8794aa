import Foundation
import Testing
import _TestSupport

@Suite struct FixtureCoverageTests {
  /// Metrics are computed by the Python package; its tests read their cases.
  private static let testedInPython: Set = ["metrics"]
  /// Whoever writes the test of one takes its name out of here.
  private static let awaited: Set = [
    "causal_convolution"
  ]

  @Test func everyOperationOfTheFixturesIsReadByATest() throws {
    let files = try #require(
      FileManager.default.enumerator(at: Fixture.tests, includingPropertiesForKeys: nil))
    let sources = try files.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }
      .map { try String(contentsOf: $0, encoding: .utf8) }
    let operations = Set(try Fixture.operations().map(\.op))
    #expect(operations.isSuperset(of: Self.testedInPython))
    for op in operations.subtracting(Self.testedInPython) {
      let argument = "@Test(arguments: try Fixture.operations(\"\(op)\"))"
      let isRead = sources.contains { $0.contains(argument) }
      let isAwaited = Self.awaited.contains(op)
      #expect(isRead != isAwaited, "\(op): read by a test \(isRead), awaited \(isAwaited)")
    }
  }
}
