// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CElastirec
import FoundationEssentials
import Interactions
import Kernels
import Layers
import Models
import Training
import VectorLoops

/// What a model handle holds. The parameters' names are found once.
final class ModelBox {
  var ranker: Ranker
  let parameters: [NamedParameter]
  let places: [String: Int]

  var model: any Recommender { ranker.model }

  /// What a caller asks about.
  func histories(_ rows: UnsafePointer<elastirec_rows>?) throws -> Histories {
    try ElastirecABI.histories(
      rows, itemCount: model.itemCount,
      userCount: (model as? any SequentialModel)?.userCount ?? 0, name: "histories")
  }

  init(_ model: any Recommender) {
    ranker = Ranker(model: model)
    parameters = model.parameters()
    places = Dictionary(uniqueKeysWithValues: parameters.enumerated().map { ($1.name, $0) })
  }

  func parameter(_ name: UnsafePointer<CChar>?, count: Int) throws -> NamedParameter {
    let name = String(cString: try unwrap(name, "name"))
    guard let place = places[name] else { throw InvalidArgument("no parameter is called \(name)") }
    let parameter = parameters[place]
    try require(
      parameter.value.count == count,
      "\(name) has shape \(parameter.value.shape), got \(count) numbers")
    return parameter
  }
}

private func box(_ model: OpaquePointer?) throws -> ModelBox {
  try Handle<ModelBox>.at(model, "model").value
}

@_cdecl("elastirec_model_create") @implementation
public func elastirec_model_create(
  _ json: UnsafePointer<CChar>!, _ length: Int, _ model: UnsafeMutablePointer<OpaquePointer?>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let data = Data(bytes: try unwrap(json, "json"), count: length)
    let made = ModelBox(try makeModel(json: data))
    try unwrap(model, "model").pointee = Handle.retained(made)
  }
}

@_cdecl("elastirec_model_free") @implementation
public func elastirec_model_free(_ model: OpaquePointer!) { Handle<ModelBox>.release(model) }

@_cdecl("elastirec_model_describe") @implementation
public func elastirec_model_describe(
  _ model: OpaquePointer!, _ text: UnsafeMutablePointer<CChar>!, _ capacity: Int,
  _ needed: UnsafeMutablePointer<Int>!, _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let box = try box(model)
    let parameters = box.parameters.map {
      "{\"name\": \"\($0.name)\", \"shape\": \($0.value.shape)}"
    }
    let json = """
      {"configuration": \(box.model.configurationJSON), \
      "parameters": [\(parameters.joined(separator: ", "))]}
      """
    try write(json, text, capacity, needed)
  }
}

@_cdecl("elastirec_model_get_parameter") @implementation
public func elastirec_model_get_parameter(
  _ model: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ values: UnsafeMutablePointer<Float>!,
  _ count: Int, _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let parameter = try box(model).parameter(name, count: count)
    try unwrap(values, "values").update(from: parameter.value.pointer, count: count)
  }
}

@_cdecl("elastirec_model_set_parameter") @implementation
public func elastirec_model_set_parameter(
  _ model: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ values: UnsafePointer<Float>!,
  _ count: Int, _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let parameter = try box(model).parameter(name, count: count)
    let values = try unwrap(values, "values")
    try require(loops.allFinite(values, count: count), "\(parameter.name) holds NaN or infinity")
    parameter.value.pointer.update(from: values, count: count)
    try box(model).model.weightsChanged()
  }
}

@_cdecl("elastirec_model_set_fallback") @implementation
public func elastirec_model_set_fallback(
  _ model: OpaquePointer!, _ scores: UnsafePointer<Float>!, _ count: Int,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let box = try box(model)
    let scores = try unwrap(scores, "scores")
    try require(
      count == box.model.itemCount, "scores has \(count) numbers for \(box.model.itemCount) items")
    try require(loops.allFinite(scores, count: count), "scores hold NaN or infinity")
    box.ranker.fallback = Array(UnsafeBufferPointer(start: scores, count: count))
  }
}

@_cdecl("elastirec_model_score") @implementation
public func elastirec_model_score(
  _ model: OpaquePointer!, _ rows: UnsafePointer<elastirec_rows>!, _ threads: Int32,
  _ scores: UnsafeMutablePointer<Float>!, _ scoreCount: Int,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let box = try box(model)
    let items = box.model.itemCount
    let histories = try box.histories(rows)
    let (expected, overflow) = histories.count.multipliedReportingOverflow(by: items)
    try require(
      !overflow && scoreCount == expected,
      "scores has room for \(scoreCount), expected \(histories.count) x \(items)")
    guard histories.count > 0 else { return }
    box.ranker.score(histories, workers: workers(threads), into: try unwrap(scores, "scores"))
  }
}

@_cdecl("elastirec_model_recommend") @implementation
public func elastirec_model_recommend(
  _ model: OpaquePointer!, _ rows: UnsafePointer<elastirec_rows>!,
  _ excludedRows: UnsafePointer<elastirec_rows>!, _ allowed: UnsafePointer<UInt8>!, _ k: Int32,
  _ threads: Int32, _ items: UnsafeMutablePointer<Int32>!, _ scores: UnsafeMutablePointer<Float>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let box = try box(model)
    let histories = try box.histories(rows)
    let excluded = try optionalRows(
      excludedRows, itemCount: box.model.itemCount, count: histories.count, name: "excluded")
    try require(k > 0, "k must be at least 1, got \(k)")
    guard histories.count > 0 else { return }
    box.ranker.recommend(
      histories, excluded: excluded, allowed: allowed, k: Int(k), workers: workers(threads),
      items: try unwrap(items, "items"), scores: try unwrap(scores, "scores"))
  }
}

@_cdecl("elastirec_model_rank") @implementation
public func elastirec_model_rank(
  _ model: OpaquePointer!, _ rows: UnsafePointer<elastirec_rows>!,
  _ targetRows: UnsafePointer<elastirec_rows>!, _ excludedRows: UnsafePointer<elastirec_rows>!,
  _ candidateRows: UnsafePointer<elastirec_rows>!, _ k: Int32, _ sizes: UnsafePointer<Int64>!,
  _ sizeCount: Int, _ threads: Int32, _ ranks: UnsafeMutablePointer<Int32>!,
  _ topItems: UnsafeMutablePointer<Int32>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let box = try box(model)
    let itemCount = box.model.itemCount
    let histories = try box.histories(rows)
    func matching(_ rows: UnsafePointer<elastirec_rows>?, _ name: String) throws -> Histories? {
      try optionalRows(rows, itemCount: itemCount, count: histories.count, name: name)
    }
    let targets = try unwrap(try matching(targetRows, "targets"), "targets")
    let excluded = try matching(excludedRows, "excluded")
    let candidates = try matching(candidateRows, "candidates")
    try require(k >= 0, "k must be at least 0, got \(k)")
    try require(
      k == 0 || candidates == nil, "top items are those of all items, so candidates must be NULL")
    guard histories.count > 0 else { return }
    box.ranker.rank(
      histories, targets: targets, excluded: excluded, candidates: candidates, k: Int(k),
      sizes: try trainedSizes(sizes, sizeCount, of: box.model), workers: workers(threads),
      ranks: try unwrap(ranks, "ranks"),
      top: k > 0 ? try unwrap(topItems, "top_items") : nil)
  }
}

/// The widths of a nested model that a caller names, ascending, or nil for none.
private func trainedSizes(
  _ sizes: UnsafePointer<Int64>?, _ count: Int, of model: any Recommender
) throws -> [Int]? {
  guard count > 0 else { return nil }
  let wanted = UnsafeBufferPointer(start: try unwrap(sizes, "sizes"), count: count).map {
    Int($0)
  }
  let (_, trained) = try model.nested()
  try require(
    wanted.allSatisfy(trained.contains) && zip(wanted, wanted.dropFirst()).allSatisfy(<),
    "sizes must increase and be of \(trained), got \(wanted)")
  return wanted
}

@_cdecl("elastirec_model_slice") @implementation
public func elastirec_model_slice(
  _ model: OpaquePointer!, _ size: Int64, _ keepFeatures: Int32,
  _ small: UnsafeMutablePointer<OpaquePointer?>!, _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let box = try box(model)
    let (nested, _) = try box.model.nested()
    let made = ModelBox(try nested.slice(size: Int(size), keepsFeatures: keepFeatures != 0))
    made.ranker.fallback = box.ranker.fallback
    try unwrap(small, "small").pointee = Handle.retained(made)
  }
}

@_cdecl("elastirec_model_similar") @implementation
public func elastirec_model_similar(
  _ model: OpaquePointer!, _ items: UnsafePointer<Int32>!, _ count: Int64, _ k: Int32,
  _ threads: Int32, _ similar: UnsafeMutablePointer<Int32>!,
  _ cosines: UnsafeMutablePointer<Float>!, _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let box = try box(model)
    try require(count >= 0, "count is negative")
    try require(k > 0, "k must be at least 1, got \(k)")
    guard count > 0 else { return }
    let items = UnsafeBufferPointer(start: try unwrap(items, "items"), count: Int(count))
    if let wrong = items.first(where: { $0 < 0 || $0 >= box.model.itemCount }) {
      throw InvalidArgument("item \(wrong) is not in 0 ..< \(box.model.itemCount)")
    }
    try box.ranker.similar(
      to: items, k: Int(k), workers: workers(threads), similar: try unwrap(similar, "similar"),
      cosines: try unwrap(cosines, "cosines"))
  }
}

@_cdecl("elastirec_model_cost") @implementation
public func elastirec_model_cost(
  _ model: OpaquePointer!, _ length: Int64, _ cost: UnsafeMutablePointer<elastirec_cost>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let box = try box(model)
    try require(length > 0, "length must be at least 1, got \(length)")
    let result = box.model.cost(length: Int(length))
    try unwrap(cost, "cost").pointee = elastirec_cost(
      parameters: Int64(result.parameters), macs: Int64(result.macs), bytes: Int64(result.bytes))
  }
}
