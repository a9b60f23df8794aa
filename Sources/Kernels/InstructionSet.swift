import CProcessor
import Glibc
public import VectorLoops
import VectorLoopsBaseline

#if arch(x86_64)
  import VectorLoopsAVX2
  import VectorLoopsAVX512
#endif

/// A set of vector instructions that the loops were compiled for.
public enum InstructionSet: String, CaseIterable, Sendable {
  case baseline
  case avx2
  case avx512

  /// The sets that this processor runs, the slowest first.
  public static let supported: [InstructionSet] = {
    #if arch(x86_64)
      return Array(allCases.prefix(1 + Int(processor_vector_level())))
    #else
      return [.baseline]
    #endif
  }()

  /// The set in use: the fastest, or what `ELASTIREC_ISA` names if the processor has it.
  public static let current: InstructionSet = {
    let wanted = getenv("ELASTIREC_ISA").flatMap {
      InstructionSet(rawValue: String(cString: $0).lowercased())
    }
    if let wanted, supported.contains(wanted) { return wanted }
    return supported.last ?? .baseline
  }()

  /// The loops compiled for this set.
  public var loops: any VectorLoops {
    #if arch(x86_64)
      switch self {
      case .baseline: return VectorLoopsBaseline.Loops()
      case .avx2: return VectorLoopsAVX2.Loops()
      case .avx512: return VectorLoopsAVX512.Loops()
      }
    #else
      return VectorLoopsBaseline.Loops()
    #endif
  }
}

/// The loops of the instruction set in use.
public let loops: any VectorLoops = InstructionSet.current.loops
