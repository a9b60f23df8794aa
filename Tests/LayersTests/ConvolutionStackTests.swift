import Autograd
import Layers
import Testing
import _TestSupport

@Suite struct ConvolutionStackTests {
  /// The tokens that token t of a history that starts at `start` depends on, found tap by tap.
  private func dependencies(
    of t: Int, start: Int, kernel: Int, dilations: ArraySlice<Int>
  ) -> Set<Int> {
    guard let dilation = dilations.last else { return [t] }
    return (0..<kernel).map { t - $0 * dilation }.filter { $0 >= start }.reduce(into: []) {
      $0.formUnion(
        dependencies(of: $1, start: start, kernel: kernel, dilations: dilations.dropLast()))
    }
  }

  @Test(arguments: [(3, [1, 2, 4, 8]), (2, [3, 1]), (1, [5, 5]), (3, [])])
  func levelsHoldWhatTheLastTokensDependOn(kernel: Int, dilations: [Int]) {
    let offsets = [0, 1, 30, 47]
    let stack = ConvolutionStack(lastOf: offsets, kernel: kernel, dilations: dilations)
    #expect(stack.levels.count == dilations.count + 1 && stack.taps.count == dilations.count)
    for level in 0...dilations.count {
      let expected = (0..<3).reduce(into: Set<Int>()) {
        $0.formUnion(
          dependencies(
            of: offsets[$1 + 1] - 1, start: offsets[$1], kernel: kernel,
            dilations: dilations[level...]))
      }
      #expect(stack.levels[level].map { Int($0) } == expected.sorted(), "level \(level)")
    }
  }

  @Test func tapsReadTheRowsOfTheLevelBelow() {
    let (kernel, dilations, offsets) = (3, [1, 2, 4], [0, 2, 23])
    let all = ConvolutionStack(kernel: kernel, dilations: dilations, offsets: offsets)
    let last = ConvolutionStack(lastOf: offsets, kernel: kernel, dilations: dilations)
    for i in dilations.indices {
      #expect(all.levels[i] == [Int32](0..<23) && all.taps[i].rows == 23)
      // The same tokens as in the stack of all.
      for (row, token) in last.levels[i + 1].enumerated() {
        for tap in 0..<kernel {
          let source = last.taps[i].sources[row * kernel + tap]
          let found = source < 0 ? -1 : last.levels[i][Int(source)]
          #expect(found == all.taps[i].sources[Int(token) * kernel + tap])
        }
      }
    }
  }

  /// Four times dilations 1 and 4, each block with two convolutions of three taps, of which the
  /// second has twice the dilation.
  @Test func theReceptiveFieldOfEightBlocksIs121() {
    let dilations = (0..<4).flatMap { _ in [1, 2, 4, 8] }
    let stack = ConvolutionStack(lastOf: [0, 400], kernel: 3, dilations: dilations)
    #expect(stack.levels[0] == [Int32](279..<400))
  }

  @Test func aBlockOf256ChannelsHasItsParameters() {
    var initializer = Initializer(seed: 1, deviation: 0.02)
    let block = FullConvolutionBlock(
      dim: 256, kernel: 3, normEpsilon: 1e-8, hasResidualWeight: true, using: &initializer)
    #expect(block.parameters().reduce(0) { $0 + $1.value.count } == 394_753)
  }
}
