/// A value that a caller passed and that the library cannot use.
public struct InvalidArgument: Error, Equatable {
  public let message: String

  public init(_ message: String) { self.message = message }
}

/// Throws `InvalidArgument` with `message` where the condition does not hold.
public func require(_ condition: Bool, _ message: @autoclosure () -> String)
  throws(InvalidArgument)
{
  guard condition else { throw InvalidArgument(message()) }
}
