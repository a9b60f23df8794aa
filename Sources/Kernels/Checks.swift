/// Stops the program where a condition does not hold: a mistake of ours.
///
/// This module is compiled without checks, where `precondition` would be believed instead.
func check(_ condition: Bool, _ message: @autoclosure () -> String) {
  if !condition { fatalError(message()) }
}
