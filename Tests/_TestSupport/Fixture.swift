public import Foundation
public import Kernels
public import Testing

/// The reference numbers under Tests/Fixtures, which `make_fixtures.py` writes.
///
/// A file that is missing or of another form throws, so the test that asked for it fails.
public enum Fixture {
  /// The folder of the tests, found from this file.
  public static let tests = URL(filePath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent().deletingLastPathComponent()

  private static let everyOperation = Result {
    try ["ops", "ops_nested", "ops_rounded"].flatMap { try load($0, OperationCase.self) }
  }
  private static let everyModel = Result { try load("sasrec", ModelCase.self) }

  /// The cases of all operations.
  public static func operations() throws -> [OperationCase] { try everyOperation.get() }

  /// The cases of one operation, those among them whose products round their factors.
  public static func operations(_ op: String) throws -> [OperationCase] {
    let cases = try operations().filter { $0.plainOp == op }
    if cases.isEmpty { throw FixtureError("there is no case of \(op)") }
    return cases
  }

  /// The cases of SASRec.
  public static func models() throws -> [ModelCase] { try everyModel.get() }

  /// The cases of `<name>.json`, which are `ReferenceCase`s.
  public static func references(_ name: String) throws -> [ReferenceCase] {
    try load(name, ReferenceCase.self)
  }

  private static func load<Case: Decodable>(_ name: String, _: Case.Type) throws -> [Case] {
    let url = tests.appending(path: "Fixtures/\(name).json")
    let file = try JSONDecoder().decode([String: [Case]].self, from: try Data(contentsOf: url))
    guard let cases = file["cases"], !cases.isEmpty else {
      throw FixtureError("\(name).json has no cases")
    }
    return cases
  }
}

/// What is wrong with a fixture.
public struct FixtureError: Error, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

/// Numbers row by row. A scalar has no dimensions.
public struct FixtureArray: Decodable, Sendable {
  public let shape: [Int]
  public let values: [Double]

  public var floats: [Float] { values.map { Float($0) } }
  public var indices: [Int32] { values.map { Int32($0) } }
}

/// A setting of a case.
public enum FixtureSetting: Codable, Sendable {
  case flag(Bool)
  case number(Double)
  case text(String)
  case list([FixtureSetting])
  case object([String: FixtureSetting])

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else if let list = try? container.decode([FixtureSetting].self) {
      self = .list(list)
    } else if let object = try? container.decode([String: FixtureSetting].self) {
      self = .object(object)
    } else {
      self = .text(try container.decode(String.self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .flag(let flag): try container.encode(flag)
    case .number(let number): try container.encode(number)
    case .text(let text): try container.encode(text)
    case .list(let list): try container.encode(list)
    case .object(let object): try container.encode(object)
    }
  }
}

/// One operation on given inputs.
public struct OperationCase: Decodable, Sendable, CustomTestStringConvertible {
  public let op: String
  public let name: String
  public let attributes: [String: FixtureSetting]
  public let inputs: [String: FixtureArray]
  public let outputs: [String: FixtureArray]
  /// With respect to the outputs; absent where the operation has no gradient.
  public let cotangents: [String: FixtureArray]?
  /// With respect to the inputs.
  public let gradients: [String: FixtureArray]?

  public var testDescription: String { name }

  /// What the products of the operation round their factors to. Numbers that are computed before
  /// they are rounded are nowhere near a tie, so tolerances are those of operations that do not
  /// round.
  public var precision: Precision { op.hasSuffix(Self.rounding) ? .bfloat16 : .float32 }
  /// The operation without its precision.
  public var plainOp: String {
    precision == .bfloat16 ? String(op.dropLast(Self.rounding.count)) : op
  }

  private static let rounding = "_bfloat16"

  public func input(_ key: String) throws -> FixtureArray { try find(key, in: inputs) }
  public func output(_ key: String) throws -> FixtureArray { try find(key, in: outputs) }

  public func number(_ key: String) throws -> Double {
    guard case .number(let number) = try find(key, in: attributes) else { throw wrong(key) }
    return number
  }

  public func numbers(_ key: String) throws -> [Double] {
    guard case .list(let list) = try find(key, in: attributes) else { throw wrong(key) }
    return try list.map {
      guard case .number(let number) = $0 else { throw wrong(key) }
      return number
    }
  }

  public func flag(_ key: String) throws -> Bool {
    guard case .flag(let flag) = try find(key, in: attributes) else { throw wrong(key) }
    return flag
  }

  public func text(_ key: String) throws -> String {
    guard case .text(let text) = try find(key, in: attributes) else { throw wrong(key) }
    return text
  }

  private func find<Value>(_ key: String, in values: [String: Value]) throws -> Value {
    guard let value = values[key] else { throw wrong(key) }
    return value
  }

  private func wrong(_ key: String) -> FixtureError {
    FixtureError("\(name) has no \(key), or one of another type")
  }
}

/// One model with its weights, data and what follows from them.
public struct ModelCase: Decodable, Sendable, CustomTestStringConvertible {
  public struct Rows: Decodable, Sendable {
    public let items: [Int32]
    public let offsets: [Int]
    public var users: [Int32]?

    public var rows: [[Int32]] { zip(offsets, offsets.dropFirst()).map { Array(items[$0..<$1]) } }
  }

  public struct Trace: Decodable, Sendable {
    public let losses: [Double]
    public let parameters: [String: FixtureArray]
  }

  public let name: String
  public let configuration: [String: FixtureSetting]
  public let options: [String: FixtureSetting]
  public let parameters: [String: FixtureArray]
  public let histories: Rows
  /// The states of the training windows.
  public let hidden: FixtureArray
  public let scores: FixtureArray
  public let loss: Double
  public let gradients: [String: FixtureArray]
  public let afterOneStep: [String: FixtureArray]
  /// Three steps.
  public let trace: Trace

  private enum CodingKeys: String, CodingKey {
    case name, configuration, options, parameters, histories, hidden, scores, loss, gradients
    case afterOneStep = "after_one_step"
    case trace
  }

  public var testDescription: String { name }

  public func number(_ key: String) throws -> Double {
    guard case .number(let number)? = configuration[key] ?? options[key] else {
      throw FixtureError("\(name) has no number \(key)")
    }
    return number
  }

  /// The inputs and targets of training: the newest `max_length` of each history that has a target.
  public func trainingWindows() throws -> (inputs: [[Int32]], targets: [Int32]) {
    let length = Int(try number("max_length"))
    let windows = histories.rows.filter { $0.count > 1 }.map { $0.suffix(length + 1) }
    return (windows.map { Array($0.dropLast()) }, windows.flatMap { $0.dropFirst() })
  }
}
