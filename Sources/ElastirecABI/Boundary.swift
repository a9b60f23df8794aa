import CElastirec
import FoundationEssentials
import Interactions
import Kernels
import Training

/// Runs `body` and turns what it throws into a status and a message. No Swift error passes this
/// function.
func atBoundary(_ error: UnsafeMutablePointer<elastirec_error>?, _ body: () throws -> Void)
  -> elastirec_status
{
  do {
    try body()
    return ELASTIREC_OK
  } catch let invalid as InvalidArgument {
    return report(invalid.message, ELASTIREC_INVALID_ARGUMENT, to: error)
  } catch let diverged as Diverged {
    return report(diverged.message, ELASTIREC_DIVERGED, to: error)
  } catch let memory as OutOfMemory {
    return report(message(memory), ELASTIREC_OUT_OF_MEMORY, to: error)
  } catch let other {
    return report("a bug in Elastirec: \(other)", ELASTIREC_INTERNAL, to: error)
  }
}

private func message(_ memory: OutOfMemory) -> String {
  memory.bytes == .max
    ? "a model of this size does not fit in any memory"
    : "not enough memory: \(memory.bytes / (1 << 20)) MB are needed"
}

private func report(
  _ message: String, _ code: elastirec_status, to error: UnsafeMutablePointer<elastirec_error>?
) -> elastirec_status {
  guard let error else { return code }
  error.pointee.code = code
  withUnsafeMutableBytes(of: &error.pointee.message) { buffer in
    var text = Array(message.utf8.prefix(buffer.count - 1))
    while String(validating: text, as: UTF8.self) == nil { text.removeLast() }
    buffer.copyBytes(from: text + [0])
  }
  return code
}

/// Keeps a Swift value behind a C handle.
final class Handle<Value> {
  var value: Value

  init(_ value: Value) { self.value = value }

  static func retained(_ value: Value) -> OpaquePointer {
    OpaquePointer(Unmanaged.passRetained(Handle(value)).toOpaque())
  }

  /// - Throws: `InvalidArgument` where the pointer is NULL.
  static func at(_ pointer: OpaquePointer?, _ name: String) throws -> Handle {
    guard let pointer else { throw InvalidArgument("\(name) is NULL") }
    return Unmanaged<Handle>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }

  static func release(_ pointer: OpaquePointer?) {
    guard let pointer else { return }
    Unmanaged<Handle>.fromOpaque(UnsafeRawPointer(pointer)).release()
  }
}

/// - Throws: `InvalidArgument` where the pointer is NULL.
func unwrap<Pointer>(_ pointer: Pointer?, _ name: @autoclosure () -> String) throws -> Pointer {
  guard let pointer else { throw InvalidArgument("\(name()) is NULL") }
  return pointer
}

/// The histories behind a C struct, checked.
///
/// - Parameter userCount: the people whom the model knows; 0 where it does not care whose they are.
func histories(
  _ rows: UnsafePointer<elastirec_rows>?, itemCount: Int, userCount: Int = 0, name: String,
  noun: String = "item"
) throws -> Histories {
  let rows = try unwrap(rows, name).pointee
  try require(rows.count >= 0 && rows.item_total >= 0, "\(name): a count is negative")
  try require(rows.count < Int64.max, "\(name): \(rows.count) rows do not fit in memory")
  let offsets = try unwrap(rows.offsets, "\(name).offsets")
  if rows.item_total > 0 { _ = try unwrap(rows.items, "\(name).items") }
  let users =
    userCount == 0
    ? nil : rows.users.map { UnsafeBufferPointer(start: $0, count: Int(rows.count)) }
  if let wrong = users?.first(where: { $0 < -1 || $0 >= userCount }) {
    throw InvalidArgument("\(name): user \(wrong) is not in -1 ..< \(userCount)")
  }
  return try Histories(
    items: UnsafeBufferPointer(start: rows.items, count: Int(rows.item_total)),
    offsets: UnsafeBufferPointer(start: offsets, count: Int(rows.count) + 1), users: users,
    itemCount: itemCount, name: name, noun: noun)
}

/// The same for rows that may be absent and must be as many as the histories.
func optionalRows(
  _ rows: UnsafePointer<elastirec_rows>?, itemCount: Int, count: Int, name: String
) throws -> Histories? {
  guard rows != nil else { return nil }
  let result = try histories(rows, itemCount: itemCount, name: name)
  try require(result.count == count, "\(name) has \(result.count) rows for \(count) histories")
  return result
}

func workers(_ threads: Int32) -> Int {
  threads > 0 ? min(Int(threads), 1024) : availableProcessors()
}

/// Writes a text with its zero where it fits, and its length.
func write(
  _ text: String, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ needed: UnsafeMutablePointer<Int>?
) throws {
  let bytes = Array(text.utf8CString)
  try unwrap(needed, "needed").pointee = bytes.count
  if let buffer, capacity >= bytes.count { buffer.update(from: bytes, count: bytes.count) }
}
