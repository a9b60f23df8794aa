import Autograd
import Kernels
import Testing
import VectorLoops
import _TestSupport

/// Every op whose products can round their factors to bfloat16 against its reference numbers.
///
/// Numbers that an op computes before it rounds them are nowhere near a tie in these cases, so they
/// round as in the reference, and tolerances are those of the ops that do not round.
@Suite struct RoundedOpFixtureTests {
  @Test(arguments: try Fixture.operations("linear_bfloat16"))
  func linearFollowsTheReference(_ c: OperationCase) throws {
    try check(c, .products, precision: .bfloat16) { x, pass in
      let bias = c.inputs["bias"] == nil ? nil : try x("bias")
      return linear(try x("x"), weight: try x("weight"), bias: bias, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("linear_activation_bfloat16"))
  func linearWithActivationFollowsTheReference(_ c: OperationCase) throws {
    let activation = try #require(Activation(rawValue: try c.text("activation")))
    try check(c, .products, precision: .bfloat16) { x, pass in
      linear(
        try x("x"), weight: try x("weight"), bias: try x("bias"), activation: activation, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("nested_linear_bfloat16"))
  func nestedLinearFollowsTheReference(_ c: OperationCase) throws {
    let shape = NestedShape(
      sizes: try c.numbers("sizes").map { Int($0) },
      inputPlanes: Int(try c.number("planes_in")), outputPlanes: Int(try c.number("planes_out")))
    try check(c, .products, precision: .bfloat16) { x, pass in
      nestedLinear(
        try x("x"), shape: shape, weights: try shape.sizes.indices.map { try x("weight\($0)") },
        biases: try shape.sizes.indices.map { try x("bias\($0)") }, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("mix_positions_bfloat16"))
  func mixingOfPositionsFollowsTheReference(_ c: OperationCase) throws {
    try check(c, .products, precision: .bfloat16) { x, pass in
      mixPositions(try x("x"), weight: try x("weight"), bias: try x("bias"), on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("causal_convolution_bfloat16"))
  func causalConvolutionFollowsTheReference(_ c: OperationCase) throws {
    let offsets = try c.input("offsets").indices.map { Int($0) }
    let (kernel, dilation) = (Int(try c.number("kernel")), Int(try c.number("dilation")))
    let taps = ConvolutionTaps(kernel: kernel, dilation: dilation, offsets: offsets)
    try check(c, .products, precision: .bfloat16) { x, pass in
      convolution(try x("x"), weight: try x("weight"), bias: try x("bias"), taps: taps, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("softmax_cross_entropy_bfloat16"))
  func softmaxCrossEntropyFollowsTheReference(_ c: OperationCase) throws {
    let targets = try c.input("targets").indices
    let smoothing = Float(try c.number("label_smoothing"))
    try check(c, .lossGradient, precision: .bfloat16) { x, pass in
      softmaxCrossEntropy(
        try x("hidden"), table: try x("table"), targets: targets, smoothing: smoothing,
        scale: 1 / Float(targets.count), on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("nested_softmax_cross_entropy_bfloat16"))
  func nestedSoftmaxCrossEntropyFollowsTheReference(_ c: OperationCase) throws {
    let targets = try c.input("targets").indices
    let widths = NestedWidths(
      sizes: try c.numbers("sizes").map { Int($0) },
      weights: try c.numbers("weights").map { Float($0) })
    try check(c, .lossGradient, precision: .bfloat16) { x, pass in
      let bias = c.inputs["bias"] == nil ? nil : try x("bias")
      return softmaxCrossEntropy(
        try x("hidden"), table: try x("table"), bias: bias, targets: targets, widths: widths,
        scale: 1 / Float(targets.count), on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("sampled_softmax_bfloat16"))
  func sampledSoftmaxFollowsTheReference(_ c: OperationCase) throws {
    let (targets, items) = (try c.input("targets").indices, try c.input("negatives").indices)
    let targetLogQ = Dictionary(
      zip(targets, try c.input("target_log_q").floats), uniquingKeysWith: { first, _ in first })
    let negatives = SharedNegatives(
      items: items, logExpected: try c.input("negative_log_q").floats,
      targetLogExpected: { targetLogQ[$0] ?? .nan })
    try check(c, .lossGradient, precision: .bfloat16) { x, pass in
      sampledLoss(
        .softmax, try x("hidden"), table: try x("table"), targets: targets, negatives: negatives,
        scale: 1 / Float(targets.count), on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("gru_bfloat16"))
  func gatedRecurrenceFollowsTheReference(_ c: OperationCase) throws {
    let offsets = try c.input("offsets").indices.map { Int($0) }
    let form = try #require(PackedGRU.Form(rawValue: try c.text("form")))
    try check(c, .gatedRecurrence, precision: .bfloat16) { x, pass in
      gatedRecurrence(
        try x("x"), weight: try x("weight"), form: form, offsets: offsets, on: pass)
    }
  }
}
