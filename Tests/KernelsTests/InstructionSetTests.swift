import Foundation
import Kernels
import Testing

@Suite struct InstructionSetTests {
  @Test func everyProcessorRunsTheBaseline() {
    #expect(InstructionSet.supported.first == .baseline)
    #expect(
      InstructionSet.supported
        == Array(InstructionSet.allCases.prefix(InstructionSet.supported.count)))
  }

  @Test func theSetInUseIsTheFastestOrTheOneAskedFor() {
    let wanted = ProcessInfo.processInfo.environment["ELASTIREC_ISA"]
      .flatMap { InstructionSet(rawValue: $0.lowercased()) }
    let asked = wanted.flatMap { InstructionSet.supported.contains($0) ? $0 : nil }
    #expect(InstructionSet.current == asked ?? InstructionSet.supported.last)
  }
}
