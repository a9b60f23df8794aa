import Kernels

/// Counts one more item in the first column of `states`, and returns the position of each: the last
/// one for all items beyond the largest length.
func countItem(_ states: Matrix, maximalLength: Int) -> [Int32] {
  (0..<states.rows).map { person in
    let count = states.pointer + person * states.stride
    // States are a caller's numbers.
    let position = Int32(max(0, min(count[0], Float(maximalLength - 1))))
    count[0] = Float(position + 1)
    return position
  }
}
