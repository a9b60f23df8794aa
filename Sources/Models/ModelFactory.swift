public import FoundationEssentials
import Interactions
import Kernels

/// The models that can be made by name.
enum ModelName: String, CaseIterable {
  case sasrec
  case sasrecf
  case fdsa
  case mixer
  case sasrecPlus = "sasrec_plus"
  case core
  case bert4rec
  case lrurec
  case fmrlrec
  case gru4rec
  case nextitnet
  case caser
  case nfm
  case popularity
}

/// The settings of a model that is trained.
protocol ModelConfiguration {
  init(_ fields: inout Fields) throws(InvalidArgument)
  /// The numbers that the weights hold.
  var weightCount: Int { get }
  /// The numbers of a table of items that is computed from weights, and has gradients as they do.
  var computedCount: Int { get }
}

extension ModelConfiguration {
  var computedCount: Int { 0 }
}

/// Makes a model with fresh weights from a JSON object, e.g. `{"model": "sasrec", "items": 100}`.
///
/// - Throws: `InvalidArgument` for unknown fields and values out of range, `OutOfMemory` where
///   training would need more than the machine has.
public func makeModel(json: Data) throws -> any Recommender {
  var fields = try Fields(json: json, name: "the model's configuration")
  switch try fields.choice("model", default: ModelName.sasrec) {
  case .sasrec: return try make(&fields, SASRec.init)
  case .sasrecf: return try make(&fields, SASRecF.init)
  case .fdsa: return try make(&fields, FDSA.init)
  case .mixer: return try make(&fields, MLPMixer.init)
  case .sasrecPlus: return try make(&fields, SASRecPlus.init)
  case .core: return try make(&fields, CORE.init)
  case .bert4rec: return try make(&fields, BERT4Rec.init)
  case .lrurec: return try make(&fields, LRURec.init)
  case .fmrlrec: return try make(&fields, FMRLRec.init)
  case .gru4rec: return try make(&fields, GRU4Rec.init)
  case .nextitnet: return try make(&fields, NextItNet.init)
  case .caser: return try make(&fields, Caser.init)
  case .nfm: return try make(&fields, NFM.init)
  case .popularity:
    let items = try fields.integer("items", in: 1...Int(Int32.max))
    try fields.finish()
    try requireMemory(items)
    return Popularity(items: items)
  }
}

private func make<Configuration: ModelConfiguration>(
  _ fields: inout Fields, _ model: (Configuration) -> any Recommender
) throws -> any Recommender {
  let configuration = try Configuration(&fields)
  try fields.finish()
  try requireMemory(configuration.weightCount + configuration.computedCount)
  let made = model(configuration)
  precondition(made.parameterCount == configuration.weightCount, "weightCount counts other weights")
  return made
}

/// Weights, gradient and two moments: what a model of this size needs at least to be trained.
private func requireMemory(_ weights: Int) throws {
  guard weights < Int.max / 16 else { throw OutOfMemory(bytes: .max) }
  try Buffer.require(bytes: 16 * weights)
}
