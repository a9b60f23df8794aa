import CElastirec
import Testing

/// The text of an error's message.
func message(_ error: elastirec_error) -> String {
  withUnsafeBytes(of: error.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

/// Expects a call to fail with a message and a status.
func expectError(
  _ expected: String, _ status: elastirec_status = ELASTIREC_INVALID_ARGUMENT,
  sourceLocation: SourceLocation = #_sourceLocation,
  _ call: (UnsafeMutablePointer<elastirec_error>) -> elastirec_status
) {
  var error = elastirec_error()
  let found = call(&error)
  #expect(found == status, sourceLocation: sourceLocation)
  #expect(error.code == status, sourceLocation: sourceLocation)
  #expect(message(error) == expected, sourceLocation: sourceLocation)
}

/// Expects a call to fail with the same status where the caller wants no message.
func expectStatus(
  _ status: elastirec_status, sourceLocation: SourceLocation = #_sourceLocation,
  _ call: (UnsafeMutablePointer<elastirec_error>?) -> elastirec_status
) {
  #expect(call(nil) == status, sourceLocation: sourceLocation)
}

/// Owns a model behind its C handle.
final class Model {
  private(set) var handle: OpaquePointer?

  init(_ json: String = #"{"items": 5, "dim": 4, "inner_dim": 3, "heads": 2, "max_length": 6}"#) {
    let status = elastirec_model_create(json, json.utf8.count, &handle, nil)
    #expect(status == ELASTIREC_OK && handle != nil)
  }

  deinit { elastirec_model_free(handle) }
}

/// Calls `body` with rows in the form of C.
func withRows<Result>(
  _ items: [Int32], _ offsets: [Int64], users: [Int32]? = nil,
  _ body: (UnsafePointer<elastirec_rows>) -> Result
) -> Result {
  items.withUnsafeBufferPointer { items in
    offsets.withUnsafeBufferPointer { offsets in
      (users ?? []).withUnsafeBufferPointer { numbers in
        var rows = elastirec_rows(
          items: items.baseAddress, item_total: Int64(items.count), offsets: offsets.baseAddress,
          count: Int64(offsets.count) - 1, users: users == nil ? nil : numbers.baseAddress)
        return body(&rows)
      }
    }
  }
}

/// Calls a function that writes a text, first for its length, and returns the text.
func text(
  _ describe: (UnsafeMutablePointer<CChar>?, Int, UnsafeMutablePointer<Int>) -> elastirec_status
) -> String {
  var needed = 0
  #expect(describe(nil, 0, &needed) == ELASTIREC_OK)
  var buffer = Array(repeating: CChar(7), count: needed)
  #expect(describe(&buffer, needed, &needed) == ELASTIREC_OK)
  #expect(buffer.last == 0 && buffer.firstIndex(of: 0) == needed - 1)
  return String(decoding: buffer.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
