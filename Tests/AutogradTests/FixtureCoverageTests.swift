import Foundation
import Testing
import _TestSupport

@Suite struct FixtureCoverageTests {
  /// Metrics are computed by the Python package; its tests read their cases.
  private static let testedInPython: Set = ["metrics"]

  @Test func everyOperationOfTheFixturesIsReadByATest() throws {
    let files = try #require(
      FileManager.default.enumerator(at: Fixture.tests, includingPropertiesForKeys: nil))
    let sources = try files.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }
      .map { try String(contentsOf: $0, encoding: .utf8) }
    let operations = Set(try Fixture.operations().map(\.plainOp))
    #expect(operations.isSuperset(of: Self.testedInPython))
    for op in operations.subtracting(Self.testedInPython) {
      let argument = "@Test(arguments: try Fixture.operations(\"\(op)\"))"
      #expect(sources.contains { $0.contains(argument) }, "no test reads the cases of \(op)")
    }
  }
}
