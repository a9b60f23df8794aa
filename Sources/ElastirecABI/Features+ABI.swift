// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CElastirec
import Interactions
import Kernels
import Layers
import Models
import VectorLoops

@_cdecl("elastirec_model_set_feature_values") @implementation
public func elastirec_model_set_feature_values(
  _ model: OpaquePointer!, _ feature: Int32, _ rows: UnsafePointer<elastirec_rows>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let (own, items) = try find(feature, CategoryFeature.self, "values", of: model)
    let values = try histories(rows, itemCount: own.valueCount, name: "values", noun: "value")
    try require(values.count == items, "values has \(values.count) rows for \(items) items")
    own.set(values)
    try weightsChanged(model)
  }
}

@_cdecl("elastirec_model_set_feature_vectors") @implementation
public func elastirec_model_set_feature_vectors(
  _ model: OpaquePointer!, _ feature: Int32, _ vectors: UnsafePointer<Float>!, _ count: Int,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let (own, items) = try find(feature, VectorFeature.self, "vectors", of: model)
    let (expected, overflow) = items.multipliedReportingOverflow(by: own.width)
    try require(
      !overflow && count == expected,
      "vectors has \(count) numbers, expected \(items) x \(own.width)")
    let vectors = try unwrap(vectors, "vectors")
    try require(loops.allFinite(vectors, count: count), "vectors hold NaN or infinity")
    try own.set(UnsafeBufferPointer(start: vectors, count: count))
    try weightsChanged(model)
  }
}

private func weightsChanged(_ model: OpaquePointer?) throws {
  try Handle<ModelBox>.at(model, "model").value.model.weightsChanged()
}

/// A feature of some kind, and the number of items.
private func find<Feature: ItemFeature>(
  _ number: Int32, _ kind: Feature.Type, _ what: String, of model: OpaquePointer?
) throws -> (Feature, Int) {
  let model = try Handle<ModelBox>.at(model, "model").value.model
  guard let features = (model as? any FeatureModel)?.features else {
    throw InvalidArgument("this model reads no features")
  }
  try require(
    features.indices.contains(Int(number)),
    "feature \(number) is not in 0 ..< \(features.count)")
  guard let feature = features[Int(number)] as? Feature else {
    throw InvalidArgument("feature \(number) has no \(what)")
  }
  return (feature, model.itemCount)
}
