import Autograd
import Kernels
import Testing
import VectorLoops
import _TestSupport

/// Every op against its reference numbers: values, and gradients for a random cotangent.
@Suite struct OpFixtureTests {
  @Test(arguments: try Fixture.operations("linear"))
  func linearFollowsTheReference(_ c: OperationCase) throws {
    try check(c, .products) { x, pass in
      let bias = c.inputs["bias"] == nil ? nil : try x("bias")
      return linear(try x("x"), weight: try x("weight"), bias: bias, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("linear_activation"))
  func linearWithActivationFollowsTheReference(_ c: OperationCase) throws {
    let activation = try #require(Activation(rawValue: try c.text("activation")))
    try check(c, .products) { x, pass in
      linear(
        try x("x"), weight: try x("weight"), bias: try x("bias"), activation: activation, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("activation"))
  func activationFollowsTheReference(_ c: OperationCase) throws {
    let activation = try #require(Activation(rawValue: try c.text("activation")))
    try check(c, .activation) { x, pass in activate(try x("x"), activation, on: pass) }
  }

  @Test(arguments: try Fixture.operations("layer_norm"))
  func layerNormFollowsTheReference(_ c: OperationCase) throws {
    let epsilon = Float(try c.number("epsilon"))
    try check(c, .normsFarFromZero) { x, pass in
      layerNorm(
        try x("x"), weight: try x("weight"), bias: try x("bias"), epsilon: epsilon, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("residual_layer_norm"))
  func layerNormOfAResidualFollowsTheReference(_ c: OperationCase) throws {
    let epsilon = Float(try c.number("epsilon"))
    try check(c, .normsFarFromZero) { x, pass in
      layerNorm(
        residual(try x("x"), try x("r"), on: pass), weight: try x("weight"), bias: try x("bias"),
        epsilon: epsilon, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("causal_attention"))
  func causalAttentionFollowsTheReference(_ c: OperationCase) throws {
    let offsets = try c.input("offsets").indices.map { Int($0) }
    let heads = Int(try c.number("heads"))
    let longest = zip(offsets, offsets.dropFirst()).reduce(0) { max($0, $1.1 - $1.0) }
    try check(c, .attention) { x, pass in
      let qkv = try x("qkv")
      let dim = qkv.columns / 3
      return softmaxAttention(
        query: qkv.block(columns: 0..<dim), key: qkv.block(columns: dim..<(2 * dim)),
        value: qkv.block(columns: (2 * dim)..<(3 * dim)), heads: heads, offsets: offsets,
        maximalLength: longest, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("full_attention"))
  func attentionOverWholeHistoriesFollowsTheReference(_ c: OperationCase) throws {
    let offsets = try c.input("offsets").indices.map { Int($0) }
    let heads = Int(try c.number("heads"))
    try check(c, .attention) { x, pass in
      softmaxAttention(
        query: try x("query"), key: try x("key"), value: try x("value"), heads: heads,
        offsets: offsets, isCausal: false, maximalLength: 64, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("linear_attention"))
  func linearAttentionFollowsTheReference(_ c: OperationCase) throws {
    let offsets = try c.input("offsets").indices.map { Int($0) }
    let (heads, mode) = (Int(try c.number("heads")), try c.text("mode"))
    let decays = c.name.contains("/decayed-")
    try check(c, .linearAttention) { x, pass in
      linearAttention(
        query: try x("query"), key: try x("key"), value: try x("value"),
        decayLog: decays ? try x("decay_log") : nil, heads: heads, offsets: offsets,
        isCausal: mode == "causal", on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("linear_recurrence"))
  func linearRecurrenceFollowsTheReference(_ c: OperationCase) throws {
    let offsets = try c.input("offsets").indices.map { Int($0) }
    try check(c, .recurrenceGradient) { x, pass in
      linearRecurrence(
        try x("x"), nuLog: try x("nu_log"), thetaLog: try x("theta_log"),
        gammaLog: try x("gamma_log"), offsets: offsets, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("gru"))
  func gatedRecurrenceFollowsTheReference(_ c: OperationCase) throws {
    let offsets = try c.input("offsets").indices.map { Int($0) }
    let form = try #require(PackedGRU.Form(rawValue: try c.text("form")))
    try check(c, .gatedRecurrence) { x, pass in
      gatedRecurrence(
        try x("x"), weight: try x("weight"), form: form, offsets: offsets, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("causal_convolution"))
  func causalConvolutionFollowsTheReference(_ c: OperationCase) throws {
    let offsets = try c.input("offsets").indices.map { Int($0) }
    let (kernel, dilation) = (Int(try c.number("kernel")), Int(try c.number("dilation")))
    let taps = ConvolutionTaps(kernel: kernel, dilation: dilation, offsets: offsets)
    try check(c, .products) { x, pass in
      convolution(try x("x"), weight: try x("weight"), bias: try x("bias"), taps: taps, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("mix_positions"))
  func mixingOfPositionsFollowsTheReference(_ c: OperationCase) throws {
    try check(c, .products) { x, pass in
      mixPositions(try x("x"), weight: try x("weight"), bias: try x("bias"), on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("gather"))
  func gatherFollowsTheReference(_ c: OperationCase) throws {
    let rows = try c.input("rows").indices
    try check(c, .sums) { x, pass in gather(try x("table"), rows: rows, on: pass) }
  }

  @Test(arguments: try Fixture.operations("gather_rows"))
  func gatherOfDistinctRowsFollowsTheReference(_ c: OperationCase) throws {
    let rows = try c.input("rows").indices
    try check(c, .sums) { x, pass in gather(try x("x"), rows: rows, on: pass) }
  }

  @Test(arguments: try Fixture.operations("scatter_rows"))
  func scatterFollowsTheReference(_ c: OperationCase) throws {
    let (rows, count) = (try c.input("rows").indices, Int(try c.number("count")))
    try check(c, .sums) { x, pass in scatter(try x("x"), rows: rows, count: count, on: pass) }
  }

  @Test(arguments: try Fixture.operations("add"))
  func addFollowsTheReference(_ c: OperationCase) throws {
    try check(c, .rounding) { x, pass in add(try x("a"), try x("b"), on: pass) }
  }

  @Test(arguments: try Fixture.operations("multiply"))
  func multiplyFollowsTheReference(_ c: OperationCase) throws {
    try check(c, .rounding) { x, pass in multiply(try x("a"), try x("b"), on: pass) }
  }

  @Test(arguments: try Fixture.operations("scale"))
  func scaleFollowsTheReference(_ c: OperationCase) throws {
    let factor = Float(try c.number("factor"))
    try check(c, .rounding) { x, pass in scale(try x("x"), by: factor, on: pass) }
  }

  @Test(arguments: try Fixture.operations("softmax_cross_entropy"))
  func softmaxCrossEntropyFollowsTheReference(_ c: OperationCase) throws {
    let targets = try c.input("targets").indices
    let smoothing = Float(try c.number("label_smoothing"))
    try check(c, lossTolerance(c)) { x, pass in
      softmaxCrossEntropy(
        try x("hidden"), table: try x("table"), targets: targets, smoothing: smoothing,
        scale: 1 / Float(targets.count), on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("seen_softmax_cross_entropy"))
  func softmaxCrossEntropyOfRaisedScoresFollowsTheReference(_ c: OperationCase) throws {
    let (targets, offsets) = (try c.input("targets").indices, try c.input("offsets").indices)
    let seen = SeenItems(
      margin: Float(try c.number("margin")), items: try c.input("seen").indices,
      itemCount: try c.input("table").shape[0],
      ranges: zip(offsets, offsets.dropFirst()).map { Int($0)..<Int($1) })
    let smoothing = Float(try c.number("label_smoothing"))
    try check(c, lossTolerance(c)) { x, pass in
      softmaxCrossEntropy(
        try x("hidden"), table: try x("table"), targets: targets, smoothing: smoothing, seen: seen,
        scale: 1 / Float(targets.count), on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("nested_softmax_cross_entropy"))
  func nestedSoftmaxCrossEntropyFollowsTheReference(_ c: OperationCase) throws {
    let targets = try c.input("targets").indices
    let widths = NestedWidths(
      sizes: try c.numbers("sizes").map { Int($0) },
      weights: try c.numbers("weights").map { Float($0) })
    try check(c, lossTolerance(c)) { x, pass in
      let bias = c.inputs["bias"] == nil ? nil : try x("bias")
      return softmaxCrossEntropy(
        try x("hidden"), table: try x("table"), bias: bias, targets: targets, widths: widths,
        scale: 1 / Float(targets.count), on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("nested_linear"))
  func nestedLinearFollowsTheReference(_ c: OperationCase) throws {
    let shape = NestedShape(
      sizes: try c.numbers("sizes").map { Int($0) },
      inputPlanes: Int(try c.number("planes_in")), outputPlanes: Int(try c.number("planes_out")))
    try check(c, .products) { x, pass in
      nestedLinear(
        try x("x"), shape: shape, weights: try shape.sizes.indices.map { try x("weight\($0)") },
        biases: try shape.sizes.indices.map { try x("bias\($0)") }, on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("chunk_layer_norm"))
  func layerNormOfChunksFollowsTheReference(_ c: OperationCase) throws {
    let (epsilon, sizes) = (Float(try c.number("epsilon")), try c.numbers("sizes").map { Int($0) })
    // One row has three numbers about 300 that differ by 0.2.
    let isNarrow = sizes == [3, 7, 20]
    try check(c, isNarrow ? .normsOfFewFarFromZero : .normsFarFromZero) { x, pass in
      layerNorm(
        try x("x"), weight: try x("weight"), bias: try x("bias"), epsilon: epsilon, sizes: sizes,
        on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("sampled_softmax"))
  func sampledSoftmaxFollowsTheReference(_ c: OperationCase) throws {
    let (targets, items) = (try c.input("targets").indices, try c.input("negatives").indices)
    let targetLogQ = Dictionary(
      zip(targets, try c.input("target_log_q").floats), uniquingKeysWith: { first, _ in first })
    let negatives = SharedNegatives(
      items: items, logExpected: try c.input("negative_log_q").floats,
      targetLogExpected: { targetLogQ[$0] ?? .nan })
    try check(c, lossTolerance(c)) { x, pass in
      sampledLoss(
        .softmax, try x("hidden"), table: try x("table"), targets: targets, negatives: negatives,
        scale: 1 / Float(targets.count), on: pass)
    }
  }

  @Test(arguments: try Fixture.operations("binary_cross_entropy"))
  func binaryCrossEntropyFollowsTheReference(_ c: OperationCase) throws {
    let (targets, items) = (try c.input("targets").indices, try c.input("negatives").indices)
    let beta = Float(try c.number("beta"))
    try check(c, lossTolerance(c)) { x, pass in
      binaryCrossEntropy(
        try x("hidden"), table: try x("table"), targets: targets, negatives: items, beta: beta,
        scale: 1 / Float(targets.count), on: pass)
    }
  }

  private func lossTolerance(_ c: OperationCase) -> Tolerance {
    c.name.contains("std-30") ? .lossGradientOfLargeScores : .lossGradient
  }
}
