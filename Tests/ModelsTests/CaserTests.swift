import Autograd
import Foundation
import Interactions
import Models
import Testing
import _TestSupport

@Suite struct CaserTests {
  private func small(_ form: Caser.Form, users: Int = 0) -> Caser.Configuration {
    var c = Caser.Configuration(items: 11, form: form)
    (c.dim, c.window, c.maxLength, c.users) = (4, form == .text ? 4 : 3, 9, users)
    (c.horizontalFilters, c.verticalFilters, c.initialStd) = (5, 2, 0.5)
    return c
  }

  private func shapes(_ c: Caser.Configuration) -> [String: [Int]] {
    Dictionary(uniqueKeysWithValues: Caser(c).parameters().map { ($0.name, $0.value.shape) })
  }

  @Test func parametersOfTheOriginalHaveTheirNamesAndShapes() {
    var expected = [
      "item_embedding": [11, 4], "vertical.weight": [2, 3], "vertical.bias": [2],
      "map.weight": [4, 2 * 4 + 3 * 5], "map.bias": [4], "output_embedding": [11, 4],
      "output_bias": [11],
    ]
    for k in 0..<3 {
      expected["horizontal.\(k).weight"] = [5, (k + 1) * 4]
      expected["horizontal.\(k).bias"] = [5]
    }
    #expect(shapes(small(.original)) == expected)
    expected["user_embedding"] = [6, 4]
    expected["output_embedding"] = [11, 8]
    #expect(shapes(small(.original, users: 6)) == expected)
  }

  @Test func parametersOfTheFormForTextHaveTheirNamesAndShapes() {
    var expected = [
      "item_embedding": [11, 4], "vertical.weight": [2, 4], "vertical.bias": [2],
      "output_embedding": [11, 2 * 4 + 3 * 5], "output_bias": [11],
    ]
    for k in 0..<3 {
      expected["horizontal.\(k).weight"] = [5, (k + 2) * 4]
      expected["horizontal.\(k).bias"] = [5]
    }
    #expect(shapes(small(.text)) == expected)
  }

  @Test func peopleHaveVectorsOfTheirOwn() {
    let model = Caser(small(.original, users: 6))
    func states(_ users: [Int32]?) -> [[Float]] {
      let batch = PackedBatch(items: [1, 2, 3, 4, 4], offsets: [0, 2, 3, 5], users: users)
      let last = model.encodeLast(batch, on: .inference)
      let all = model.encode(batch, on: .inference)
      let rows = (0..<3).map { last.block(rows: $0..<($0 + 1)).values }
      #expect(rows.count == 3 && all.shape == [5, 8])
      let newest = gather(all, rows: batch.lastTokens, on: .inference).values
      expectClose(last.values, newest.map { Double($0) }, .model, "last states")
      return rows
    }
    let table = model.parameters().first { $0.name == "user_embedding" }?.value
    let (known, unknown) = (states([5, -1, 0]), states(nil))
    for (s, user) in [5, -1, 0].enumerated() {
      let vector = user < 0 ? [0, 0, 0, 0] : table?.block(rows: user..<(user + 1)).values
      #expect(Array(known[s].suffix(4)) == vector)
      #expect(known[s].prefix(4) == unknown[s].prefix(4))
      #expect(unknown[s].suffix(4) == [0, 0, 0, 0])
    }
  }

  /// A history of one item: below it the image is empty, and strips of zeros give their bias.
  @Test func whatComesBeforeAHistoryIsZero() throws {
    var c = small(.text)
    c.window = 6
    let model = Caser(c)
    let state = model.encode(PackedBatch([[7]]), on: .inference).values
    let values = Dictionary(
      uniqueKeysWithValues: model.parameters().map {
        ($0.name, $0.value.values.map { Double($0) })
      })
    func numbers(_ name: String) throws -> [Double] { try #require(values[name]) }
    let item = try numbers("item_embedding")[28..<32]
    let vertical = try numbers("vertical.weight")
    var expected: [Double] = []
    for k in 0..<2 {
      let bias = try numbers("vertical.bias")[k]
      expected += item.map { max(0, bias + vertical[6 * k + 5] * $0) }
    }
    for k in 0..<3 {
      let (weight, bias) = (
        try numbers("horizontal.\(k).weight"), try numbers("horizontal.\(k).bias")
      )
      let width = (k + 2) * 4
      for f in 0..<5 {
        // The strip whose newest row is the item, or one of zeros.
        let newest = weight[(f * width + width - 4)..<((f + 1) * width)]
        expected.append(max(0, bias[f], bias[f] + zip(newest, item).reduce(0) { $0 + $1.0 * $1.1 }))
      }
    }
    expectClose(state, expected, .model, "state")
  }

  @Test func multiplyAddsAreThoseCountedByHand() {
    // Two rows: strips of 1, 2 and 3 rows 2 * 6 * 4 * 5, columns 2 * 2 * 4, the map 23 * 4.
    let original = Caser(small(.original))
    #expect(original.cost(length: 2).macs == 240 + 16 + 92)
    #expect(original.cost(length: 100) == original.cost(length: 3))
    #expect(Caser(small(.text)).cost(length: 4).macs == 4 * 9 * 4 * 5 + 4 * 2 * 4)
    let counted = original.parameters().map { $0.value.count }.reduce(0, +)
    #expect(original.cost(length: 1).parameters == counted)
  }

  @Test func everyFieldReachesTheConfiguration() throws {
    let json = """
      {"model": "caser", "items": 7, "users": 8, "form": "original", "dim": 6, "window": 4, \
      "horizontal_filters": 3, "vertical_filters": 2, "dropout": 0.1, "max_length": 9, \
      "initial_std": 0.5, "seed": 9}
      """
    let model = try #require(try makeModel(json: Data(json.utf8)) as? Caser)
    let c = model.configuration
    #expect(c.items == 7 && c.users == 8 && c.form == .original && c.dim == 6 && c.window == 4)
    #expect(c.horizontalFilters == 3 && c.verticalFilters == 2 && c.dropout == 0.1)
    #expect(c.maxLength == 9 && c.initialStd == 0.5 && c.seed == 9 && model.userCount == 8)
  }

  @Test func fieldsThatAreNotGivenFollowTheForm() throws {
    func make(_ fields: String) throws -> Caser.Configuration {
      let json = #"{"model": "caser", "items": 7, "window": 8, \#(fields)}"#
      return try #require(try makeModel(json: Data(json.utf8)) as? Caser).configuration
    }
    let (original, text) = (try make(#""form": "original""#), try make(#""form": "text""#))
    #expect(original.horizontalFilters == 16 && original.verticalFilters == 4)
    #expect(text.horizontalFilters == 100 && text.verticalFilters == 1)
    #expect(original.maxLength == 8 && text.maxLength == 8)
    let bias = Caser(text).parameters().last?.value.values
    #expect(bias == Array(repeating: 0.1, count: 7))
  }

  @Test(
    arguments: [
      (#""form": "text", "window": 3"#, #"window must be at least 4 for form "text", got 3"#),
      (#""form": "text", "users": 3"#, #"users need form "original", got "text""#),
    ])
  func wrongFormsAreNamed(fields: String, expected: String) {
    #expect(throws: InvalidArgument(expected)) {
      try makeModel(json: Data(#"{"model": "caser", "items": 3, \#(fields)}"#.utf8))
    }
  }
}
