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
    vectorLoops(
      "VectorLoopsAVX512", flags: ["-march=x86-64-v4"], defines: ["HAS_FMA", "HAS_AVX512"]),
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
    // Every module that a target imports is named, or an incremental build would miss changes.
    .target(name: "Autograd", dependencies: ["Kernels", "VectorLoops"]),
    .target(name: "Interactions"),
    .target(name: "Layers", dependencies: ["Autograd", "Interactions", "Kernels", "VectorLoops"]),
    .target(
      name: "Models",
      dependencies: ["Autograd", "Interactions", "Kernels", "Layers", "VectorLoops"]
    ),
    .target(
      name: "Training",
      dependencies: ["Autograd", "Interactions", "Kernels", "Layers", "Models", "VectorLoops"]),
    .target(name: "CElastirec"),
    .target(
      name: "ElastirecABI",
      dependencies: [
        "CElastirec", "Interactions", "Kernels", "Layers", "Models", "Training", "VectorLoops",
      ]),

    // MARK: - Tests
    .target(
      name: "_TestSupport",
      dependencies: ["Autograd", "Interactions", "Kernels", "Layers", "Models"],
      path: "Tests/_TestSupport"),
    .testTarget(name: "KernelsTests", dependencies: ["Kernels", "VectorLoops", "_TestSupport"]),
    .testTarget(
      name: "AutogradTests", dependencies: ["Autograd", "Kernels", "VectorLoops", "_TestSupport"]),
    .testTarget(
      name: "LayersTests", dependencies: ["Autograd", "Interactions", "Layers", "_TestSupport"]),
    .testTarget(name: "InteractionsTests", dependencies: ["Interactions"]),
    .testTarget(
      name: "ModelsTests",
      dependencies: [
        "Autograd", "Interactions", "Kernels", "Layers", "Models", "VectorLoops", "_TestSupport",
      ]),
    .testTarget(
      name: "TrainingTests",
      dependencies: [
        "Autograd", "Interactions", "Kernels", "Layers", "Models", "Training", "_TestSupport",
      ]),
    .testTarget(name: "ElastirecABITests", dependencies: ["ElastirecABI", "CElastirec"]),
  ] + vectorTargets,
  swiftLanguageModes: [.v5]
)
