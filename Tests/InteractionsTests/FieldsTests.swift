import Foundation
import Interactions
import Testing

@Suite struct FieldsTests {
  private enum Colour: String, CaseIterable {
    case red
    case darkBlue = "dark_blue"
  }

  private func fields(_ json: String) throws -> Fields {
    try Fields(json: Data(json.utf8), name: "the settings")
  }

  /// The message that reading from some JSON gives.
  private func message(_ json: String, _ read: (inout Fields) throws -> Void) -> String? {
    do {
      var fields = try fields(json)
      try read(&fields)
      return nil
    } catch {
      return (error as? InvalidArgument)?.message ?? "\(error)"
    }
  }

  @Test func fieldsAreReadWithTheirTypes() throws {
    var fields = try fields(
      #"{"a": 3, "b": 0.5, "c": true, "d": "dark_blue", "e": 18446744073709551615, "f": 2}"#)
    #expect(try fields.integer("a", in: 0...5) == 3)
    #expect(try fields.number("b", default: 0, from: 0) == 0.5)
    #expect(try fields.flag("c", default: false))
    #expect(try fields.choice("d", default: Colour.red) == .darkBlue)
    #expect(try fields.seed("e") == .max)
    #expect(try fields.number("f", default: 0, from: 0) == 2)
    try fields.finish()
  }

  @Test func fieldsThatAreMissingTakeTheirDefaults() throws {
    var fields = try fields("{}")
    #expect(try fields.integer("a", default: 4, in: 0...5) == 4)
    #expect(try fields.number("b", default: 0.25, from: 0) == 0.25)
    #expect(try fields.flag("c", default: true))
    #expect(try fields.choice("d", default: Colour.red) == .red)
    #expect(try fields.seed("e") == 0)
    try fields.finish()
    #expect(message("{}") { _ = try $0.integer("a", in: 0...5) } == "the settings lacks a")
  }

  @Test(
    arguments: [
      "", "[]", "3", "null", "\"text\"", "{", "{\"a\"}", "{\"a\": }", "{\"a\": 1", "{'a': 1}",
      "{\"a\": NaN}", "{} {}", "\u{0}",
    ])
  func whatIsNoObjectIsRejected(json: String) {
    #expect(message(json) { _ in } == "the settings is not a JSON object")
  }

  @Test(
    arguments: [
      ("6", "6"), ("-1", "-1"), ("2.5", "2.5"), ("true", "true"), ("null", "null"),
      ("\"3\"", "\"3\""), ("[3]", "a list or an object"), ("{\"b\": 3}", "a list or an object"),
      ("9223372036854775807", "9223372036854775807"),
      ("18446744073709551615", "18446744073709551615"),
      ("-9223372036854775808", "-9223372036854775808"),
    ])
  func wrongIntegersAreNamed(value: String, shown: String) {
    #expect(
      message("{\"a\": \(value)}") { _ = try $0.integer("a", in: 0...5) }
        == "a must be an integer in 0 ... 5, got \(shown)")
  }

  @Test(arguments: ["1e30", "123456789012345678901234567890", "1e400"])
  func hugeIntegersAreErrors(value: String) throws {
    let found = try #require(
      message("{\"a\": \(value)}") { _ = try $0.integer("a", in: 1...Int.max) })
    #expect(found.hasPrefix("a must be an integer of at least 1, got "))
  }

  @Test func theLargestIntegerIsRead() throws {
    var fields = try fields("{\"a\": 9223372036854775807, \"b\": -9223372036854775808}")
    #expect(try fields.integer("a", in: 1...Int.max) == .max)
    #expect(try fields.integer("b", in: Int.min...0) == .min)
  }

  @Test(
    arguments: [
      ("1", "1"), ("1.0", "1"), ("-0.5", "-0.5"), ("true", "true"), ("null", "null"),
      ("\"0.5\"", "\"0.5\""), ("[]", "a list or an object"),
    ])
  func wrongNumbersAreNamed(value: String, shown: String) throws {
    let found = try #require(
      message("{\"rate\": \(value)}") { _ = try $0.number("rate", default: 0, from: 0, to: 1) })
    #expect(found.hasPrefix("rate must be a number from 0.0 to below 1.0, got \(shown)"))
  }

  @Test func boundsOfNumbersAreOpenOrClosed() throws {
    var fields = try fields(#"{"a": 1, "b": 0, "c": 1e300, "d": 1e19, "e": [1e19, 2, 0.5]}"#)
    #expect(try fields.number("a", default: 0, from: 0, to: 1, isClosed: true) == 1)
    #expect(try fields.number("b", default: 1, from: 0, to: 1) == 0)
    #expect(try fields.number("c", default: 1, from: 0) == 1e300)
    // Too large for a signed integer, and yet written like one.
    #expect(try fields.number("d", default: 1, from: 0) == 1e19)
    #expect(try fields.floats("e", from: 0) == [1e19, 2, 0.5])
    let above = message("{\"a\": 1.5}") {
      _ = try $0.number("a", default: 0, from: 0, to: 1, isClosed: true)
    }
    #expect(above == "a must be a number from 0.0 to 1.0, got 1.5")
    let negative = message("{\"a\": -1}") { _ = try $0.number("a", default: 0, from: 0) }
    #expect(negative == "a must be a finite number of at least 0.0, got -1")
  }

  @Test func wrongFlagsChoicesAndSeedsAreNamed() {
    #expect(
      message("{\"a\": 1}") { _ = try $0.flag("a", default: true) }
        == "a must be true or false, got 1")
    for value in ["\"green\"", "3", "null"] {
      #expect(
        message("{\"a\": \(value)}") { _ = try $0.choice("a", default: Colour.red) }
          == "a must be one of \"red\", \"dark_blue\", got \(value)")
    }
    for value in ["-1", "0.5", "\"1\"", "18446744073709551616"] {
      let found = message("{\"a\": \(value)}") { _ = try $0.seed("a") }
      #expect(found?.hasPrefix("a must be an integer in 0 ... 2^64 - 1, got ") == true)
    }
  }

  @Test func unknownFieldsAreRejected() throws {
    let found = message("{\"known\": 1, \"zeta\": 1, \"alpha\": [1]}") {
      _ = try $0.integer("known", in: 0...5)
      try $0.finish()
    }
    #expect(found == "the settings has no field alpha")
  }

  @Test func fieldsAreReadOnce() throws {
    var fields = try fields("{\"a\": 3}")
    #expect(try fields.integer("a", default: 1, in: 0...5) == 3)
    #expect(try fields.integer("a", default: 1, in: 0...5) == 1)
  }

  @Test func listsOfIntegersAreRead() throws {
    var fields = try fields(#"{"a": [1, 4, 1], "b": []}"#)
    #expect(try fields.integers("a", default: [], in: 1...4) == [1, 4, 1])
    #expect(try fields.integers("b", default: [7], in: 1...4) == [])
    #expect(try fields.integers("c", default: [7], in: 1...4) == [7])
    try fields.finish()
    for (value, expected) in [
      ("3", "a must be a list of integers, got 3"),
      ("{}", "a must be a list of integers, got a list or an object"),
      ("[1, 5]", "a[1] must be an integer in 1 ... 4, got 5"),
      ("[[1]]", "a[0] must be an integer in 1 ... 4, got a list or an object"),
      ("[1, null]", "a[1] must be an integer in 1 ... 4, got null"),
    ] {
      let found = message("{\"a\": \(value)}") { _ = try $0.integers("a", default: [], in: 1...4) }
      #expect(found == expected)
    }
  }

  @Test func listsOfObjectsAreReadFieldByField() throws {
    var fields = try fields(#"{"a": [{"kind": "red", "size": 3}, {"kind": "dark_blue"}]}"#)
    var objects = try fields.objects("a")
    #expect(objects.count == 2)
    #expect(try objects[0].choice("kind", default: Colour.red) == .red)
    #expect(try objects[0].integer("size", in: 1...3) == 3)
    #expect(try objects[1].choice("kind", default: Colour.red) == .darkBlue)
    for object in objects { try object.finish() }
    try fields.finish()
    #expect(try fields.objects("b").isEmpty)
  }

  @Test(
    arguments: [
      ("3", "a must be a list of objects, got 3"),
      ("{}", "a must be a list of objects, got a list or an object"),
      ("[{\"size\": 1}, 3]", "a[1] must be an object, got 3"),
      ("[{}]", "a[0] lacks size"),
      ("[{\"size\": 1}, {\"size\": 9}]", "a[1].size must be an integer in 1 ... 3, got 9"),
      ("[{\"size\": 1, \"colour\": 2}]", "a[0] has no field colour"),
      (
        "[{\"size\": 1, \"inner\": [{\"depth\": 0}]}]",
        "a[0].inner[0].depth must be an integer in 1 ... 3, got 0"
      ),
    ])
  func placesInsideListsAreNamed(value: String, expected: String) {
    let found = message("{\"a\": \(value)}") { fields in
      for var object in try fields.objects("a") {
        _ = try object.integer("size", in: 1...3)
        for var inner in try object.objects("inner") { _ = try inner.integer("depth", in: 1...3) }
        try object.finish()
      }
    }
    #expect(found == expected)
  }
}
