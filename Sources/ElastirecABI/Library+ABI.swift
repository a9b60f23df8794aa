// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CElastirec
import Kernels

/// The library's version; `pyproject.toml` has the same.
let version = "0.1.0"

@_cdecl("elastirec_abi_version") @implementation
public func elastirec_abi_version() -> Int32 { ELASTIREC_ABI_VERSION }

@_cdecl("elastirec_library_describe") @implementation
public func elastirec_library_describe(
  _ text: UnsafeMutablePointer<CChar>!, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let json = """
      {"version": "\(version)", "isa": "\(InstructionSet.current.rawValue)", \
      "supported": [\(InstructionSet.supported.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))], \
      "bfloat16": \(Precision.hasBFloat16), \
      "threads": \(availableProcessors()), "blas": "\(BLAS.configuration)", \
      "blas_core": "\(BLAS.core)"}
      """
    try write(json, text, capacity, needed)
  }
}
