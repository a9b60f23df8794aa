// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CElastirec
import Interactions
import Kernels
import Training
import VectorLoops

@_cdecl("elastirec_model_stream_size") @implementation
public func elastirec_model_stream_size(
  _ model: OpaquePointer!, _ size: UnsafeMutablePointer<Int64>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let ranker = try Handle<ModelBox>.at(model, "model").value.ranker
    try unwrap(size, "size").pointee = Int64(try ranker.streamSize())
  }
}

@_cdecl("elastirec_model_stream_advance") @implementation
public func elastirec_model_stream_advance(
  _ model: OpaquePointer!, _ streams: UnsafeMutablePointer<Float>!, _ count: Int64,
  _ size: Int64, _ items: UnsafePointer<Int32>!, _ threads: Int32,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let ranker = try Handle<ModelBox>.at(model, "model").value.ranker
    let count = try streamCount(count, size, ranker, streams)
    guard count > 0 else { return }
    let items = UnsafeBufferPointer(start: try unwrap(items, "items"), count: count)
    if let wrong = items.first(where: { $0 < 0 || $0 >= ranker.model.itemCount }) {
      throw InvalidArgument("item \(wrong) is not in 0 ..< \(ranker.model.itemCount)")
    }
    try ranker.advance(streams, by: items, workers: workers(threads))
  }
}

@_cdecl("elastirec_model_stream_recommend") @implementation
public func elastirec_model_stream_recommend(
  _ model: OpaquePointer!, _ streams: UnsafePointer<Float>!, _ count: Int64, _ size: Int64,
  _ excludedRows: UnsafePointer<elastirec_rows>!, _ allowed: UnsafePointer<UInt8>!, _ k: Int32,
  _ threads: Int32, _ items: UnsafeMutablePointer<Int32>!, _ scores: UnsafeMutablePointer<Float>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let ranker = try Handle<ModelBox>.at(model, "model").value.ranker
    let count = try streamCount(count, size, ranker, streams)
    let excluded = try optionalRows(
      excludedRows, itemCount: ranker.model.itemCount, count: count, name: "excluded")
    try require(k > 0, "k must be at least 1, got \(k)")
    guard count > 0 else { return }
    try ranker.recommend(
      streams: streams, count: count, excluded: excluded, allowed: allowed, k: Int(k),
      workers: workers(threads), items: try unwrap(items, "items"),
      scores: try unwrap(scores, "scores"))
  }
}

@_cdecl("elastirec_model_stream_slice") @implementation
public func elastirec_model_stream_slice(
  _ model: OpaquePointer!, _ streams: UnsafePointer<Float>!, _ count: Int64, _ size: Int64,
  _ width: Int64, _ small: UnsafeMutablePointer<Float>!, _ smallSize: Int64,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let ranker = try Handle<ModelBox>.at(model, "model").value.ranker
    let count = try streamCount(count, size, ranker, streams)
    guard count > 0 else { return }
    try ranker.slice(
      streams: streams, count: count, size: Int(width), into: try unwrap(small, "small"),
      small: Int(smallSize))
  }
}

/// The number of streams, once they fit the model and hold nothing but finite numbers.
private func streamCount(
  _ count: Int64, _ size: Int64, _ ranker: Ranker, _ streams: UnsafePointer<Float>?
) throws -> Int {
  let expected = try ranker.streamSize()
  try require(size == expected, "a stream of this model has \(expected) numbers, got \(size)")
  let (total, overflow) = Int(count).multipliedReportingOverflow(by: expected)
  try require(count >= 0 && !overflow, "\(count) streams do not fit in memory")
  guard count > 0 else { return 0 }
  try require(
    loops.allFinite(try unwrap(streams, "streams"), count: total),
    "streams hold NaN or infinity")
  return Int(count)
}
