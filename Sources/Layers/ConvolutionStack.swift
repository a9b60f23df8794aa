public import Autograd

/// Where a stack of causal convolutions reads and writes: at all tokens of packed histories, or only
/// at those that the last ones depend on.
public struct ConvolutionStack {
  /// The tokens that are computed before the first convolution, and after each.
  public let levels: [[Int32]]
  /// The taps of each convolution, in rows of the level that it reads.
  public let taps: [ConvolutionTaps]

  /// All tokens.
  ///
  /// - Parameter dilations: of each convolution, from the first on.
  public init(kernel: Int, dilations: [Int], offsets: [Int]) {
    let all = [Int32](0..<Int32(offsets[offsets.count - 1]))
    levels = Array(repeating: all, count: dilations.count + 1)
    var known: [Int: ConvolutionTaps] = [:]
    for dilation in Set(dilations) {
      known[dilation] = ConvolutionTaps(kernel: kernel, dilation: dilation, offsets: offsets)
    }
    taps = dilations.compactMap { known[$0] }
  }

  /// The tokens that the last ones depend on: from the last convolution to the first, what it reads
  /// to compute what is needed of it.
  public init(lastOf offsets: [Int], kernel: Int, dilations: [Int]) {
    let tokens = offsets[offsets.count - 1]
    var starts: [Int32] = []
    starts.reserveCapacity(tokens)
    for s in 0..<(offsets.count - 1) {
      starts += repeatElement(Int32(offsets[s]), count: offsets[s + 1] - offsets[s])
    }
    var levels = [offsets.dropFirst().map { Int32($0 - 1) }]
    var taps: [ConvolutionTaps] = []
    for dilation in dilations.reversed() {
      var sources: [Int32] = []
      for token in levels[0] {
        for tap in 0..<kernel {
          let source = token - Int32((kernel - 1 - tap) * dilation)
          sources.append(source >= starts[Int(token)] ? source : -1)
        }
      }
      var places = [Int32](repeating: -1, count: tokens)
      for source in sources where source >= 0 { places[Int(source)] = 0 }
      let below = (0..<Int32(tokens)).filter { places[Int($0)] == 0 }
      for (row, token) in below.enumerated() { places[Int(token)] = Int32(row) }
      taps.insert(
        ConvolutionTaps(kernel: kernel, sources: sources.map { $0 < 0 ? -1 : places[Int($0)] }),
        at: 0)
      levels.insert(below, at: 0)
    }
    self.levels = levels
    self.taps = taps
  }

  /// The rows of level `from` that stand for the tokens of the higher level `to`; nil where they are
  /// all.
  func rows(from: Int, to: Int) -> [Int32]? {
    guard levels[from].count > levels[to].count else { return nil }
    var rows: [Int32] = []
    var row = 0
    for token in levels[to] {
      while levels[from][row] < token { row += 1 }
      rows.append(Int32(row))
    }
    return rows
  }
}
