import CElastirec
import Foundation
import Testing

@Suite struct ModelABITests {
  private func create(
    _ json: String, _ error: UnsafeMutablePointer<elastirec_error>?
  ) -> elastirec_status {
    var model: OpaquePointer?
    let status = elastirec_model_create(json, json.utf8.count, &model, error)
    #expect((model != nil) == (status == ELASTIREC_OK))
    elastirec_model_free(model)
    return status
  }

  @Test func headerAndLibraryAgree() {
    #expect(elastirec_abi_version() == ELASTIREC_ABI_VERSION)
  }

  @Test func theLibraryDescribesItself() throws {
    let json = text { elastirec_library_describe($0, $1, $2, nil) }
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    for key in ["version", "isa", "threads", "blas", "blas_core"] { #expect(object[key] != nil) }
    #expect(try #require(object["threads"] as? Int) >= 1)
  }

  @Test func nothingIsWrittenWhereThereIsNoRoom() {
    var needed = 0
    #expect(elastirec_library_describe(nil, 0, &needed, nil) == ELASTIREC_OK)
    for capacity in [0, 1, needed - 1] {
      var buffer = Array(repeating: CChar(7), count: needed)
      var again = 0
      #expect(elastirec_library_describe(&buffer, capacity, &again, nil) == ELASTIREC_OK)
      #expect(again == needed && buffer.allSatisfy { $0 == 7 }, "capacity \(capacity)")
    }
    expectError("needed is NULL") { elastirec_library_describe(nil, 0, nil, $0) }
    let model = Model()
    expectError("needed is NULL") { elastirec_model_describe(model.handle, nil, 0, nil, $0) }
  }

  @Test func modelsAreMadeFromJSON() {
    #expect(create(#"{"items": 5}"#, nil) == ELASTIREC_OK)
    expectError("the model's configuration is not a JSON object") { create("", $0) }
    expectError("the model's configuration is not a JSON object") { create("{\"items\": 5", $0) }
    expectError("the model's configuration is not a JSON object") { create("[1]", $0) }
    expectError("the model's configuration has no field itmes") {
      create(#"{"items": 5, "itmes": 5}"#, $0)
    }
    expectError("dim must be an integer in 1 ... 65536, got \"64\"") {
      create(#"{"items": 5, "dim": "64"}"#, $0)
    }
    expectStatus(ELASTIREC_INVALID_ARGUMENT) { create("{}", $0) }
    expectError("json is NULL") { elastirec_model_create(nil, 0, nil, $0) }
    let json = #"{"items": 5}"#
    expectError("model is NULL") { elastirec_model_create(json, json.utf8.count, nil, $0) }
  }

  @Test func bytesThatAreNoTextAreAnError() {
    let bytes: [CChar] = [0x7B, -1, -2, 0, 0x7D]
    expectError("the model's configuration is not a JSON object") { error in
      var model: OpaquePointer?
      return elastirec_model_create(bytes, bytes.count, &model, error)
    }
  }

  @Test func modelsBeyondTheMemoryAreRefused() {
    var (model, error) = (OpaquePointer?.none, elastirec_error())
    let json = #"{"items": 2147483647, "dim": 65536}"#
    let status = elastirec_model_create(json, json.utf8.count, &model, &error)
    #expect(status == ELASTIREC_OUT_OF_MEMORY && error.code == status && model == nil)
    // Every weight, its gradient and two moments: 16 bytes for each of at least 2^47 numbers.
    let megabytes = message(error).split(separator: " ").compactMap { Int($0) }
    #expect(message(error).hasPrefix("not enough memory: "))
    #expect(megabytes.count == 1 && megabytes[0] >= 1 << 31)
  }

  @Test func freeingNothingIsAllowed() {
    elastirec_model_free(nil)
    elastirec_trainer_free(nil)
  }

  @Test func modelsDescribeTheirConfigurationAndParameters() throws {
    let model = Model()
    let json = text { elastirec_model_describe(model.handle, $0, $1, $2, nil) }
    struct Description: Decodable {
      struct Parameter: Decodable {
        let name: String
        let shape: [Int]
      }
      let parameters: [Parameter]
    }
    let found = try JSONDecoder().decode(Description.self, from: Data(json.utf8))
    #expect(found.parameters.first?.name == "item_embedding")
    #expect(found.parameters.first?.shape == [5, 4])
    let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
    let configuration = try #require(object?["configuration"])
    // What a model says of itself makes the same model again.
    let bytes = try JSONSerialization.data(withJSONObject: configuration)
    let again = Model(String(decoding: bytes, as: UTF8.self))
    #expect(text { elastirec_model_describe(again.handle, $0, $1, $2, nil) } == json)
    expectError("model is NULL") {
      var needed = 0
      return elastirec_model_describe(nil, nil, 0, &needed, $0)
    }
  }

  @Test func parametersGoOutAndIn() {
    let model = Model()
    var values = Array(repeating: Float(0), count: 20)
    func get(_ values: inout [Float]) -> elastirec_status {
      elastirec_model_get_parameter(model.handle, "item_embedding", &values, values.count, nil)
    }
    #expect(get(&values) == ELASTIREC_OK && values.contains { $0 != 0 })
    let numbers = (0..<20).map { Float($0) - 9.5 }
    #expect(
      elastirec_model_set_parameter(model.handle, "item_embedding", numbers, 20, nil)
        == ELASTIREC_OK)
    #expect(get(&values) == ELASTIREC_OK && values == numbers)
    for bad in [Float.nan, .infinity] {
      var wrong = numbers
      wrong[19] = bad
      expectError("item_embedding holds NaN or infinity") {
        elastirec_model_set_parameter(model.handle, "item_embedding", wrong, 20, $0)
      }
    }
    #expect(get(&values) == ELASTIREC_OK && values == numbers)
  }

  @Test func wrongParametersAreNamed() {
    let model = Model()
    var values = Array(repeating: Float(0), count: 20)
    expectError("no parameter is called item") {
      elastirec_model_get_parameter(model.handle, "item", &values, 20, $0)
    }
    expectError("item_embedding has shape [5, 4], got 19 numbers") {
      elastirec_model_get_parameter(model.handle, "item_embedding", &values, 19, $0)
    }
    expectError("item_embedding has shape [5, 4], got 21 numbers") {
      elastirec_model_set_parameter(model.handle, "item_embedding", values, 21, $0)
    }
    expectError("name is NULL") {
      elastirec_model_get_parameter(model.handle, nil, &values, 20, $0)
    }
    expectError("values is NULL") {
      elastirec_model_get_parameter(model.handle, "item_embedding", nil, 20, $0)
    }
    expectError("values is NULL") {
      elastirec_model_set_parameter(model.handle, "item_embedding", nil, 20, $0)
    }
    expectError("model is NULL") {
      elastirec_model_set_parameter(nil, "item_embedding", values, 20, $0)
    }
  }

  @Test(arguments: 0..<4)
  func longMessagesEndOnAWholeCharacter(shift: Int) {
    let model = Model()
    var values: [Float] = [0]
    var error = elastirec_error()
    // Four bytes a character: one of four shifts ends the message on a whole one by itself.
    let name = String(repeating: "x", count: shift) + String(repeating: "😀", count: 200)
    #expect(
      elastirec_model_get_parameter(model.handle, name, &values, 1, &error)
        == ELASTIREC_INVALID_ARGUMENT)
    let bytes = withUnsafeBytes(of: error.message) { Array($0) }
    let end = bytes.firstIndex(of: 0) ?? 0
    #expect(end > bytes.count - 5 && end < bytes.count)
    let whole = String(validating: bytes[..<end], as: UTF8.self)
    #expect(whole?.hasPrefix("no parameter is called ") == true)
  }

  @Test func costsAreCounted() {
    let model = Model(#"{"model": "popularity", "items": 7}"#)
    var cost = elastirec_cost()
    #expect(elastirec_model_cost(model.handle, 3, &cost, nil) == ELASTIREC_OK)
    #expect(cost.parameters == 7 && cost.macs == 0 && cost.bytes == 28)
    for length in [0, -1, Int64.min] {
      expectError("length must be at least 1, got \(length)") {
        elastirec_model_cost(model.handle, length, &cost, $0)
      }
    }
    let network = Model()
    #expect(elastirec_model_cost(network.handle, .max, &cost, nil) == ELASTIREC_OK)
    expectError("cost is NULL") { elastirec_model_cost(model.handle, 3, nil, $0) }
    expectError("model is NULL") { elastirec_model_cost(nil, 3, &cost, $0) }
  }
}
