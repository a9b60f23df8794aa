import Autograd
import Layers
import Testing
import _TestSupport

/// A module with the parameters that a test wants.
struct Parameters: Module {
  let parts: [Part]

  struct Part: Module { let value: Parameter }

  /// Parameters of random numbers.
  init(shapes: [[Int]], seed: UInt64) {
    parts = shapes.map { Part(value: Parameter(shape: $0)) }
    for (i, part) in parts.enumerated() {
      part.value.set(randomFloats(part.value.value.count, seed: seed + UInt64(i)))
    }
  }

  var values: [[Float]] { parts.map(\.value.value.values) }
}

@Suite struct AdamTests {
  @Test(arguments: try Fixture.operations("adam"))
  func everyStepFollowsTheReference(_ c: OperationCase) throws {
    let (start, gradients) = (try c.input("parameter"), try c.input("gradients"))
    let expected = try c.output("parameter_after")
    var configuration = Adam.Configuration()
    configuration.learningRate = try c.number("learning_rate")
    configuration.beta1 = try c.number("beta1")
    configuration.beta2 = try c.number("beta2")
    configuration.epsilon = try c.number("epsilon")
    configuration.weightDecay = try c.number("weight_decay")
    configuration.isDecoupled = try c.flag("decoupled")
    configuration.form = try #require(Adam.Form(rawValue: try c.text("form")))
    let module = Parameters(shapes: [start.shape], seed: 0)
    module.parts[0].value.set(start.floats)
    let adam = Adam(module.parameters(), configuration)
    let count = start.values.count
    for step in 0..<gradients.shape[0] {
      let numbers = (step * count)..<((step + 1) * count)
      let store = GradientStore()
      store[module.parts[0].value.value] = Tensor(
        Array(gradients.floats[numbers]), shape: start.shape)
      adam.step(store, workers: 2)
      expectClose(
        module.values[0], Array(expected.values[numbers]), .optimiser, "\(c.name), step \(step)")
    }
    #expect(adam.steps == gradients.shape[0])
  }

  /// Steps of 0.1 * 3 / sqrt(9) and 0.1 * -4 / sqrt(9 + 16).
  @Test func adagradDividesByAllGradientsSoFar() {
    var configuration = Adam.Configuration()
    (configuration.form, configuration.learningRate) = (.adagrad, 0.1)
    configuration.epsilon = 0
    let module = Parameters(shapes: [[1]], seed: 0)
    module.parts[0].value.set([1])
    let adagrad = Adam(module.parameters(), configuration)
    for (gradient, expected) in [(3, 0.9), (-4, 0.98)] as [(Float, Double)] {
      let store = GradientStore()
      store[module.parts[0].value.value] = Tensor([gradient], shape: [1])
      adagrad.step(store, workers: 1)
      expectClose(module.values[0], [expected], .optimiser, "after \(gradient)")
    }
  }

  @Test(arguments: try Fixture.operations("clip_global_norm"))
  func clippingFollowsTheReference(_ c: OperationCase) throws {
    let names = c.inputs.keys.sorted()
    let module = Parameters(shapes: try names.map { try c.input($0).shape }, seed: 0)
    let store = GradientStore()
    for (name, part) in zip(names, module.parts) {
      let input = try c.input(name)
      store[part.value.value] = Tensor(input.floats, shape: input.shape)
    }
    let norm = c.inputs.values.flatMap(\.values).reduce(0) { $0 + $1 * $1 }.squareRoot()
    expectClose([Float(store.norm(of: module.parameters()))], [norm], .sums, "\(c.name): norm")
    store.clip(module.parameters(), norm: try c.number("max_norm"))
    for (name, part) in zip(names, module.parts) {
      expectClose(store[part.value.value], try c.output(name), .sums, "\(c.name): \(name)")
    }
  }

  @Test func groupsHaveOptimisersOfTheirOwn() {
    let module = Parameters(shapes: [[3, 4], [5], [2, 2]], seed: 1)
    let all = module.parameters()
    let store = GradientStore()
    for part in module.parts {
      let tensor = part.value.value
      store[tensor] = Tensor(randomFloats(tensor.count, seed: 9), shape: tensor.shape)
    }
    var slow = Adam.Configuration()
    slow.learningRate = 1e-4
    let optimisers = [
      Adam(Array(all[0..<2]), Adam.Configuration()), Adam(Array(all[2...]), slow),
    ]
    let start = module.values
    optimisers[0].step(store, workers: 1)
    let between = module.values
    #expect(between[0] != start[0] && between[1] != start[1])
    expectSameBits(between[2], start[2], "the other group after a step of the first")
    optimisers[1].step(store, workers: 1)
    expectSameBits(module.values[0], between[0], "the first group after a step of the second")
    expectSameBits(module.values[1], between[1], "the first group after a step of the second")
    #expect(module.values[2] != between[2])
    #expect(optimisers.map(\.steps) == [1, 1])
  }

  @Test func parametersWithoutAGradientStay() {
    let module = Parameters(shapes: [[4], [4]], seed: 2)
    let store = GradientStore()
    store[module.parts[0].value.value] = Tensor([1, 1, 1, 1], shape: [4])
    let start = module.values
    Adam(module.parameters(), Adam.Configuration()).step(store, workers: 1)
    #expect(module.values[0] != start[0])
    expectSameBits(module.values[1], start[1], "no gradient")
  }

  @Test(arguments: [Adam.Form.torch, .tensorflow])
  func withoutEpsilonZeroGradientsChangeNothing(form: Adam.Form) {
    var configuration = Adam.Configuration()
    (configuration.epsilon, configuration.form) = (0, form)
    let module = Parameters(shapes: [[20]], seed: 2)
    let (tensor, start) = (module.parts[0].value.value, module.values[0])
    let adam = Adam(module.parameters(), configuration)
    for _ in 0..<3 {
      let store = GradientStore()
      store[tensor] = Tensor((0..<20).map { $0 == 7 ? 1e-3 : 0 }, shape: [20])
      adam.step(store, workers: 1)
    }
    #expect(module.values[0].indices.filter { module.values[0][$0] != start[$0] } == [7])
    // Every step is one of the learning rate, whatever the gradient's size.
    expectClose([module.values[0][7] - start[7]], [-3e-3], .differenceOfWeights, "weight 7")
  }

  @Test func stepsHaveEqualBitsOnAnyNumberOfThreads() {
    func run(_ workers: Int) -> [[Float]] {
      let module = Parameters(shapes: [[300, 200], [7]], seed: 3)
      let adam = Adam(module.parameters(), Adam.Configuration())
      for step in 0..<3 {
        let store = GradientStore()
        for part in module.parts {
          let tensor = part.value.value
          let gradient = randomFloats(tensor.count, seed: UInt64(10 + step))
          store[tensor] = Tensor(gradient, shape: tensor.shape)
        }
        adam.step(store, workers: workers)
      }
      return module.values
    }
    let alone = run(1)
    for workers in [2, 3, 8] {
      for (values, expected) in zip(run(workers), alone) {
        expectSameBits(values, expected, "\(workers) workers")
      }
    }
  }
}
