import Autograd
import Foundation
public import Interactions
public import Layers
public import Models

extension ModelCase {
  /// The model of this case, with its weights.
  public func model() throws -> SASRec {
    let made = try makeModel(json: try JSONEncoder().encode(configuration))
    guard let model = made as? SASRec else { throw FixtureError("\(name) is not a SASRec") }
    try take(parameters, into: model, of: name)
    return model
  }
}

/// Gives a model the weights of a case, which must be all of its weights.
func take(_ parameters: [String: FixtureArray], into model: any Recommender, of name: String) throws
{
  let own = model.parameters()
  guard Set(own.map(\.name)) == Set(parameters.keys) else {
    throw FixtureError("\(name) has other parameters: \(own.map(\.name))")
  }
  for parameter in own {
    guard let array = parameters[parameter.name], array.shape == parameter.value.shape else {
      throw FixtureError("\(name): \(parameter.name) has the shape \(parameter.value.shape)")
    }
    parameter.parameter.set(array.floats)
  }
}

extension Parameter {
  /// Takes other numbers.
  public func set(_ numbers: [Float]) {
    precondition(numbers.count == value.count, "\(numbers.count) numbers for \(value.shape)")
    for (i, number) in numbers.enumerated() { value.pointer[i] = number }
  }
}

extension PackedBatch {
  /// Whole histories, back to back.
  public init(_ histories: [[Int32]]) {
    self.init(
      items: histories.flatMap { $0 },
      offsets: histories.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.count) })
  }
}
