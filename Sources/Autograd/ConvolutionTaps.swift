/// The rows that each row of a convolution's result reads.
public struct ConvolutionTaps {
  /// Rows that each row of the result reads.
  public let kernel: Int
  /// Row r reads rows `sources[r * kernel ..< (r + 1) * kernel]`, the oldest first; -1 is a row of
  /// zeros.
  public let sources: [Int32]

  public init(kernel: Int, sources: [Int32]) {
    precondition(kernel > 0 && sources.count % kernel == 0, "a kernel of \(kernel) taps")
    self.kernel = kernel
    self.sources = sources
  }

  /// Every token reads itself and the tokens of its history that are 1 ... `kernel` - 1 times
  /// `dilation` before it; what comes before a history is zero.
  public init(kernel: Int, dilation: Int, offsets: [Int]) {
    var sources: [Int32] = []
    sources.reserveCapacity(kernel * (offsets.last ?? 0))
    for s in 0..<(offsets.count - 1) {
      for row in offsets[s]..<offsets[s + 1] {
        for back in stride(from: (kernel - 1) * dilation, through: 0, by: -dilation) {
          sources.append(row - back >= offsets[s] ? Int32(row - back) : -1)
        }
      }
    }
    self.init(kernel: kernel, sources: sources)
  }

  public var rows: Int { sources.count / kernel }
}
