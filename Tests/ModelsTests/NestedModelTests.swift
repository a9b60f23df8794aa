import Autograd
import Foundation
import Interactions
import Kernels
import Layers
import Models
import Testing
import _TestSupport

/// Models with smaller models inside.
@Suite struct NestedModelTests {
  private static let configurations = [
    #"{"model": "fmrlrec", "items": 30, "sizes": [4, 8, 16], "max_length": 6}"#,
    #"""
    {"model": "fmrlrec", "items": 30, "sizes": [4, 9, 16], "max_length": 6, "state_factor": 2,
     "features": [{"kind": "vectors", "width": 5}, {"kind": "vectors", "width": 3}]}
    """#,
    #"""
    {"model": "lrurec", "items": 30, "dim": 16, "state_dim": 32, "inner_dim": 48, "max_length": 6,
     "nested_sizes": [4, 8, 16]}
    """#,
    #"""
    {"model": "sasrec", "items": 30, "dim": 16, "inner_dim": 32, "heads": 4, "max_length": 6,
     "nested_sizes": [4, 8, 16]}
    """#,
    #"""
    {"model": "sasrec", "items": 30, "dim": 16, "inner_dim": 32, "heads": 4, "max_length": 6,
     "nested_sizes": [4, 8, 16], "attention": "linear_causal", "norm": "post", "tied": false}
    """#,
    #"""
    {"model": "sasrec", "items": 30, "dim": 16, "inner_dim": 32, "heads": 4, "max_length": 6,
     "nested_sizes": [4, 8, 16], "norm": "query"}
    """#,
    #"""
    {"model": "sasrec", "items": 30, "dim": 16, "inner_dim": 32, "heads": 4, "max_length": 6,
     "nested_sizes": [4, 8, 16], "attention": "linear_decayed"}
    """#,
  ]

  /// A model whose weights are random, and large enough that scores differ.
  private func model(_ json: String) throws -> any NestedModel {
    let model = try #require(try makeModel(json: Data(json.utf8)) as? any NestedModel)
    for (i, parameter) in model.parameters().enumerated()
    where !(parameter.name.contains("recurrence") && parameter.name.hasSuffix("_log")) {
      let numbers = randomFloats(parameter.value.count, seed: UInt64(i))
      for (n, number) in numbers.enumerated() { parameter.value.pointer[n] = 0.4 * number }
    }
    for feature in (model as? FMRLRec)?.features ?? [] {
      let vectors = try #require(feature as? VectorFeature)
      try randomFloats(30 * vectors.width, seed: 90).withUnsafeBufferPointer { try vectors.set($0) }
    }
    return model
  }

  private let batch = PackedBatch([[3, 9, 3, 27], [1], [4, 8, 15, 16, 23, 29]])

  @Test(arguments: configurations)
  func smallModelsAreThePrefixesOfLargeOnes(json: String) throws {
    let large = try model(json)
    let sizes = try #require(large.sizes)
    let states = large.encodeLast(batch, on: .inference)
    let scorer = large.scorer(on: .inference)
    for size in sizes {
      for keepsFeatures in [false, true] {
        let small = try large.slice(size: size, keepsFeatures: keepsFeatures)
        let found = Tensor(shape: [batch.count, 30])
        small.score(batch, into: found.matrix)
        let expected = Tensor(shape: [batch.count, 30])
        scorer.score(states.matrix, columns: 0..<size, into: expected.matrix)
        expectClose(found.values, expected.values.map { Double($0) }, .model, "size \(size)")
        #expect((small as? any NestedModel)?.sizes == sizes.filter { $0 <= size })
      }
    }
  }

  @Test(arguments: configurations)
  func slicesMakeThemselvesAgain(json: String) throws {
    let large = try model(json)
    for size in try #require(large.sizes) {
      let small = try large.slice(size: size, keepsFeatures: false)
      let twin = try makeModel(json: Data(small.configurationJSON.utf8))
      #expect(
        twin.parameters().map { [$0.name] + $0.value.shape.map(String.init) }
          == small.parameters().map { [$0.name] + $0.value.shape.map(String.init) })
      #expect(small.cost(length: 5).macs < large.cost(length: 5).macs || size == large.sizes?.last)
    }
  }

  @Test(arguments: configurations)
  func streamsSurviveSlicing(json: String) throws {
    let large = try model(json)
    guard let stream = large as? any StreamingModel, let count = stream.stateSize else { return }
    let states = Tensor(shape: [2, count])
    states.matrix.zero()
    for items in [[3, 4], [9, 8]] as [[Int32]] { _ = stream.advance(states.matrix, by: items) }
    for size in try #require(large.sizes) {
      let small = try #require(
        try large.slice(size: size, keepsFeatures: false) as? any StreamingModel)
      let own = Tensor(shape: [2, try #require(small.stateSize)])
      own.matrix.zero()
      for items in [[3, 4], [9, 8]] as [[Int32]] { _ = small.advance(own.matrix, by: items) }
      let sliced = Tensor(shape: own.shape)
      large.sliceState(states.matrix, size: size, into: sliced.matrix)
      expectClose(sliced.values, own.values.map { Double($0) }, .model, "size \(size)")
    }
  }

  @Test func sizesThatWereNotTrainedAreNamed() throws {
    let nested = try model(Self.configurations[0])
    #expect(throws: InvalidArgument("size 5 was not trained; sizes are [4, 8, 16]")) {
      try nested.slice(size: 5, keepsFeatures: false)
    }
    let dense = LRURec(LRURec.Configuration(items: 3))
    #expect(throws: InvalidArgument("this model is not nested: it has one width alone")) {
      try dense.slice(size: 64, keepsFeatures: false)
    }
  }

  @Test(
    arguments: [
      (#""model": "fmrlrec", "sizes": [8, 8]"#, "sizes must increase, got [8, 8]"),
      (
        #""model": "fmrlrec", "sizes": [8, 10]"#,
        "sizes must begin with at least 4 and be at least 4 apart, got [8, 10]"
      ),
      (#""model": "fmrlrec", "sizes": []"#, "sizes must name at least one width"),
      (
        #""model": "fmrlrec", "sizes": [8], "ids": false"#,
        "ids must be true where there are no features"
      ),
      (
        #""model": "lrurec", "nested_sizes": [8, 16]"#,
        "nested_sizes must end with dim, got [8, 16] and dim 64"
      ),
      (
        #""model": "lrurec", "nested_sizes": [8, 64], "state_dim": 100"#,
        "state_dim of a nested model must be a multiple of dim, got 100 and dim 64"
      ),
      (
        #""model": "sasrec", "nested_sizes": [8, 64]"#,
        "nested_sizes must be multiples of the 32 channels of a head, got [8, 64]"
      ),
      (
        #""model": "sasrec", "nested_sizes": [32, 64], "scale_embedding": true"#,
        "scale_embedding depends on dim, so it cannot go with nested_sizes"
      ),
    ])
  func wrongSizesAreNamed(fields: String, expected: String) {
    #expect(throws: InvalidArgument(expected)) {
      try makeModel(json: Data("{\"items\": 3, \(fields)}".utf8))
    }
  }

  /// The counts of the specification, complex numbers as two reals: Im b_C, which does nothing, is
  /// not stored.
  @Test(arguments: [(8, 1, 560), (64, 1, 20_160), (64, 2, 40_320), (1024, 2, 9_815_680)])
  func encodersHaveTheCountedParameters(dim: Int, blocks: Int, expected: Int) {
    var c = FMRLRec.Configuration(items: 1)
    c.sizes = c.sizes.filter { $0 <= dim }
    (c.blocks, c.ids, c.features) = (blocks, true, [])
    let count = FMRLRec(c).parameterCount - 2 * dim
    #expect(count + blocks * dim == expected)
  }

  @Test func officialWeightsBeginReal() {
    var c = FMRLRec.Configuration(items: 5)
    (c.sizes, c.blocks) = ([8, 16], 1)
    for parameter in FMRLRec(c).parameters() where parameter.name.contains("recurrence.input") {
      let half = parameter.value.count / 2
      #expect(parameter.value.values[..<half].allSatisfy { $0 != 0 && abs($0) <= 0.36 })
      #expect(parameter.value.values[half...].allSatisfy { $0 == 0 })
    }
  }
}
