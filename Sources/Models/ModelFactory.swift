public import FoundationEssentials
import Interactions
import Kernels

/// The models that can be made by name.
enum ModelName: String, CaseIterable {
  case sasrec
  case popularity
}

/// Makes a model with fresh weights from a JSON object, e.g. `{"model": "sasrec", "items": 100}`.
///
/// - Throws: `InvalidArgument` for unknown fields and values out of range, `OutOfMemory` where
///   training would need more than the machine has.
public func makeModel(json: Data) throws -> any Recommender {
  var fields = try Fields(json: json, name: "the model's configuration")
  switch try fields.choice("model", default: ModelName.sasrec) {
  case .sasrec:
    let configuration = try SASRec.Configuration(&fields)
    try fields.finish()
    try requireMemory(configuration.weightCount)
    return SASRec(configuration)
  case .popularity:
    let items = try fields.integer("items", in: 1...Int(Int32.max))
    try fields.finish()
    try requireMemory(items)
    return Popularity(items: items)
  }
}

/// Weights, gradient and two moments: what a model of this size needs at least to be trained.
private func requireMemory(_ weights: Int?) throws {
  guard let weights, weights < Int.max / 16 else { throw OutOfMemory(bytes: .max) }
  try Buffer.require(bytes: 16 * weights)
}
