public import Autograd
import Kernels

/// A trained array. Layers hold it by reference, so an optimiser can write to it.
public final class Parameter {
  public let value: Tensor

  public init(shape: [Int]) {
    value = Tensor(shape: shape, needsGradient: true, isLeaf: true)
    loops.fill(value.pointer, count: value.count, value: 0)
  }

  /// Whether training leaves this parameter as it is.
  public var isFrozen: Bool {
    get { !value.needsGradient }
    set { value.needsGradient = !newValue }
  }

  public func fill(_ number: Float) {
    loops.fill(value.pointer, count: value.count, value: number)
  }
}

/// A part of a model that owns parameters or other parts.
public protocol Module {}

/// A parameter and the path of properties that leads to it, e.g. "blocks.0.attention.qkv.weight".
public struct NamedParameter {
  public let name: String
  public let parameter: Parameter

  public var value: Tensor { parameter.value }
}

extension Module {
  /// Every parameter below this module in the order of declaration. Names are properties in snake
  /// case, and numbers for the parts of arrays.
  public func parameters() -> [NamedParameter] { collect(self, at: "") }
}

private func collect(_ value: Any, at path: String) -> [NamedParameter] {
  switch value {
  case let parameter as Parameter: return [NamedParameter(name: path, parameter: parameter)]
  case let parts as [any Module]:
    return parts.enumerated().flatMap { collect($1, at: "\(path).\($0)") }
  case let module as any Module:
    return Mirror(reflecting: module).children.flatMap { child in
      let name = snakeCase(child.label ?? "")
      return collect(child.value, at: path.isEmpty ? name : "\(path).\(name)")
    }
  case let optional as Any? where Mirror(reflecting: value).displayStyle == .optional:
    return optional.flatMap { some in
      Mirror(reflecting: some).children.first.map { collect($0.value, at: path) }
    } ?? []
  default: return []
  }
}

private func snakeCase(_ name: String) -> String {
  var result = ""
  for character in name {
    if character.isUppercase { result += "_" }
    result += character.lowercased()
  }
  return result
}
