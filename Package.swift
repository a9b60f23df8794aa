// swift-tools-version: 6.2
import PackageDescription

/// The vector loops are compiled once for each instruction set, from one source.
func vectorLoops(_ name: String, flags: [String], defines: [String]) -> Target {
  .target(
    name: name, dependencies: ["VectorLoops"],
    swiftSettings: [.unsafeFlags(["-Ounchecked"] + flags.flatMap { ["-Xcc", $0] })]
      + defines.map { .define($0) })
}

#if arch(x86_64)
  let vectorTargets = [
    vectorLoops("VectorLoopsBaseline", flags: [], defines: []),
    vectorLoops("VectorLoopsAVX2", flags: ["-mavx2", "-mfma"], defines: ["HAS_FMA"]),
    vectorLoops("VectorLoopsAVX512", flags: ["-march=x86-64-v4"], defines: ["HAS_FMA"]),
  ]
#else
  let vectorTargets = [vectorLoops("VectorLoopsBaseline", flags: [], defines: ["HAS_FMA"])]
#endif

let package = Package(
  name: "elastirec",
  products: [.library(name: "elastirec", type: .dynamic, targets: ["ElastirecABI"])],
  targets: [
    // MARK: - Library
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .target(name: "CProcessor"),
    .target(name: "VectorLoops"),
    .target(
      name: "Kernels",
      dependencies: ["COpenBLAS", "CProcessor", "VectorLoops"]
        + vectorTargets.map { .byName(name: $0.name) },
      swiftSettings: [.unsafeFlags(["-Ounchecked"])]),
    .target(name: "Autograd", dependencies: ["Kernels"]),
    .target(name: "Layers", dependencies: ["Autograd", "Interactions"]),
    .target(name: "Interactions", dependencies: ["Kernels"]),
    .target(name: "Models", dependencies: ["Interactions", "Layers"]),
    .target(name: "Training", dependencies: ["Models"]),
    .target(name: "CElastirec"),
    .target(name: "ElastirecABI", dependencies: ["CElastirec", "Training"]),

    // MARK: - Tests
    .target(name: "_TestSupport", dependencies: ["Models"], path: "Tests/_TestSupport"),
    .testTarget(name: "KernelsTests", dependencies: ["Kernels", "_TestSupport"]),
    .testTarget(name: "AutogradTests", dependencies: ["Autograd", "_TestSupport"]),
    .testTarget(name: "LayersTests", dependencies: ["Layers", "_TestSupport"]),
    .testTarget(name: "InteractionsTests", dependencies: ["Interactions"]),
    .testTarget(name: "ModelsTests", dependencies: ["Models", "Training", "_TestSupport"]),
    .testTarget(name: "TrainingTests", dependencies: ["Training", "_TestSupport"]),
    .testTarget(name: "ElastirecABITests", dependencies: ["ElastirecABI", "CElastirec"]),
  ] + vectorTargets,
  swiftLanguageModes: [.v5]
)
