import FoundationEssentials

/// The fields of a JSON object, each read once with its type and range; what nobody read is an
/// error.
public struct Fields {
  private enum Value: Decodable {
    case null
    case bool(Bool)
    case integer(Int64)
    case unsigned(UInt64)
    case number(Double)
    case text(String)
    case list([Value])
    case object([String: Value])
    case other

    init(from decoder: any Decoder) throws {
      guard let container = try? decoder.singleValueContainer() else {
        self = .other
        return
      }
      if container.decodeNil() {
        self = .null
      } else if let value = try? container.decode(Bool.self) {
        self = .bool(value)
      } else if let value = try? container.decode(Int64.self) {
        self = .integer(value)
      } else if let value = try? container.decode(UInt64.self) {
        self = .unsigned(value)
      } else if let value = try? container.decode(Double.self) {
        self = .number(value)
      } else if let value = try? container.decode(String.self) {
        self = .text(value)
      } else if let value = try? container.decode([Value].self) {
        self = .list(value)
      } else if let value = try? container.decode([String: Value].self) {
        self = .object(value)
      } else {
        self = .other
      }
    }

    /// What it is as a number, or NaN.
    var double: Double {
      switch self {
      case .integer(let value): return Double(value)
      case .unsigned(let value): return Double(value)
      case .number(let value): return value
      case .null, .bool, .text, .list, .object, .other: return .nan
      }
    }

    var description: String {
      switch self {
      case .null: return "null"
      case .bool(let value): return "\(value)"
      case .integer(let value): return "\(value)"
      case .unsigned(let value): return "\(value)"
      case .number(let value): return "\(value)"
      case .text(let value): return "\"\(value)\""
      case .list, .object, .other: return "a list or an object"
      }
    }
  }

  private let name: String
  /// What stands before the name of a field in messages: the place of the object in a larger one.
  private let path: String
  private var values: [String: Value]

  /// - Throws: `InvalidArgument` where `json` is not an object.
  public init(json: Data, name: String) throws(InvalidArgument) {
    self.name = name
    path = ""
    do {
      values = try JSONDecoder().decode([String: Value].self, from: json)
    } catch {
      throw InvalidArgument("\(name) is not a JSON object")
    }
  }

  private init(_ values: [String: Value], at place: String) {
    name = place
    path = "\(place)."
    self.values = values
  }

  private func wrong(_ field: String, _ value: Value, _ expected: String) -> InvalidArgument {
    InvalidArgument("\(path)\(field) must be \(expected), got \(value.description)")
  }

  public mutating func integer(
    _ field: String, default standard: Int? = nil, in range: ClosedRange<Int>
  ) throws(InvalidArgument) -> Int {
    guard let value = values.removeValue(forKey: field) else {
      guard let standard else { throw InvalidArgument("\(name) lacks \(field)") }
      return standard
    }
    return try integer(field, value, in: range)
  }

  private func integer(_ field: String, _ value: Value, in range: ClosedRange<Int>)
    throws(InvalidArgument) -> Int
  {
    if case .integer(let number) = value, range.contains(Int(number)) { return Int(number) }
    throw wrong(
      field, value,
      range.upperBound == .max
        ? "an integer of at least \(range.lowerBound)"
        : "an integer in \(range.lowerBound) ... \(range.upperBound)")
  }

  /// A list of integers.
  public mutating func integers(
    _ field: String, default standard: [Int], in range: ClosedRange<Int>
  ) throws(InvalidArgument) -> [Int] {
    guard let value = values.removeValue(forKey: field) else { return standard }
    guard case .list(let list) = value else { throw wrong(field, value, "a list of integers") }
    var result: [Int] = []
    for (i, value) in list.enumerated() {
      result.append(try integer("\(field)[\(i)]", value, in: range))
    }
    return result
  }

  /// A list of numbers of at least `low`; none where it is missing.
  public mutating func floats(_ field: String, from low: Float) throws(InvalidArgument) -> [Float] {
    var result: [Float] = []
    for (place, value) in try list(field, of: "numbers") {
      let number = Float(value.double)
      guard number.isFinite, number >= low else {
        throw wrong(place, value, "a number of at least \(low)")
      }
      result.append(number)
    }
    return result
  }

  /// A list of strings; none where it is missing.
  public mutating func texts(_ field: String) throws(InvalidArgument) -> [String] {
    var result: [String] = []
    for (place, value) in try list(field, of: "strings") {
      guard case .text(let text) = value else { throw wrong(place, value, "a string") }
      result.append(text)
    }
    return result
  }

  /// The values of a list with their places, for messages.
  private mutating func list(_ field: String, of what: String) throws(InvalidArgument)
    -> [(place: String, value: Value)]
  {
    guard let value = values.removeValue(forKey: field) else { return [] }
    guard case .list(let list) = value else { throw wrong(field, value, "a list of \(what)") }
    return list.enumerated().map { ("\(field)[\($0)]", $1) }
  }

  /// A list of objects, whose fields are read and finished like these; none where it is missing.
  public mutating func objects(_ field: String) throws(InvalidArgument) -> [Fields] {
    var result: [Fields] = []
    for (place, value) in try list(field, of: "objects") {
      guard case .object(let values) = value else { throw wrong(place, value, "an object") }
      result.append(Fields(values, at: "\(path)\(place)"))
    }
    return result
  }

  public mutating func seed(_ field: String) throws(InvalidArgument) -> UInt64 {
    switch values.removeValue(forKey: field) {
    case nil: return 0
    case .integer(let number) where number >= 0: return UInt64(number)
    case .unsigned(let number): return number
    case let value?: throw wrong(field, value, "an integer in 0 ... 2^64 - 1")
    }
  }

  /// A finite number in `low ..< high`; `high` itself too where `isClosed`.
  public mutating func number(
    _ field: String, default standard: Double, from low: Double, to high: Double = .infinity,
    isClosed: Bool = false
  ) throws(InvalidArgument) -> Double {
    guard let value = values.removeValue(forKey: field) else { return standard }
    let result = value.double
    guard result.isFinite, result >= low, result < high || (isClosed && result == high) else {
      let range =
        high == .infinity
        ? "a finite number of at least \(low)"
        : "a number from \(low) to \(isClosed ? "" : "below ")\(high)"
      throw wrong(field, value, range)
    }
    return result
  }

  /// The same as a `Float`: numbers that its rounding would carry out of the range are errors too.
  public mutating func float(
    _ field: String, default standard: Float, from low: Float, to high: Float = .infinity
  ) throws(InvalidArgument) -> Float {
    let value = values[field]
    let result = Float(
      try number(field, default: Double(standard), from: Double(low), to: Double(high)))
    guard result.isFinite, result < high else {
      throw wrong(
        field, value ?? .null, "a number from \(low) to below \(high) in single precision")
    }
    return result
  }

  public mutating func flag(_ field: String, default standard: Bool) throws(InvalidArgument) -> Bool
  {
    switch values.removeValue(forKey: field) {
    case nil: return standard
    case .bool(let flag): return flag
    case let value?: throw wrong(field, value, "true or false")
    }
  }

  public mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ field: String, default standard: Choice
  ) throws(InvalidArgument) -> Choice {
    guard let value = values.removeValue(forKey: field) else { return standard }
    if case .text(let text) = value, let choice = Choice(rawValue: text) { return choice }
    let choices = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    throw wrong(field, value, "one of \(choices)")
  }

  /// Checks that every field was read.
  public func finish() throws(InvalidArgument) {
    guard let unknown = values.keys.min() else { return }
    throw InvalidArgument("\(name) has no field \(unknown)")
  }
}
