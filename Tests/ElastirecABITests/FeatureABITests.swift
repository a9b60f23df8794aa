import CElastirec
import Testing

@Suite struct FeatureABITests {
  /// A model of 5 items with a feature of 3 values and one of vectors of 2 numbers.
  private static func model(_ name: String = "sasrecf") -> Model {
    Model(
      """
      {"model": "\(name)", "items": 5, "dim": 4, "inner_dim": 3, "max_length": 6, "features": \
      [{"kind": "categories", "values": 3}, {"kind": "vectors", "width": 2}]}
      """)
  }

  private let values: [Int32] = [2, 0, 1, 0, 1, 2]
  private let offsets: [Int64] = [0, 2, 2, 3, 4, 6]
  private let vectors = (0..<10).map { Float($0) - 4 }

  private func setValues(_ model: Model, _ feature: Int32 = 0) -> elastirec_status {
    withRows(values, offsets) {
      elastirec_model_set_feature_values(model.handle, feature, $0, nil)
    }
  }

  private func scores(_ model: Model) -> [Float] {
    var scores = Array(repeating: Float.nan, count: 10)
    let status = withRows([0, 3, 1], [0, 2, 3]) {
      elastirec_model_score(model.handle, $0, 1, &scores, 10, nil)
    }
    #expect(status == ELASTIREC_OK)
    return scores
  }

  @Test(arguments: ["sasrecf", "fdsa"])
  func featuresReachTheScores(name: String) {
    let model = Self.model(name)
    let bare = scores(model)
    #expect(setValues(model) == ELASTIREC_OK)
    let withValues = scores(model)
    #expect(
      elastirec_model_set_feature_vectors(model.handle, 1, vectors, 10, nil) == ELASTIREC_OK)
    let withBoth = scores(model)
    #expect(withValues != bare && withBoth != withValues)
    // They may be set again, and rows may begin anywhere in the array.
    let again = withRows([7, 7] + values, offsets.map { $0 + 2 }) {
      elastirec_model_set_feature_values(model.handle, 0, $0, nil)
    }
    let zeros = Array(repeating: Float(0), count: 10)
    #expect(again == ELASTIREC_OK)
    #expect(elastirec_model_set_feature_vectors(model.handle, 1, zeros, 10, nil) == ELASTIREC_OK)
    #expect(scores(model) == withValues)
  }

  @Test func wrongValuesAreNamed() {
    let model = Self.model()
    func error(
      _ expected: String, feature: Int32 = 0, values: [Int32], offsets: [Int64]
    ) {
      expectError(expected) { error in
        withRows(values, offsets) {
          elastirec_model_set_feature_values(model.handle, feature, $0, error)
        }
      }
    }
    #expect(setValues(model) == ELASTIREC_OK)
    let before = scores(model)
    error("values: value 3 is not in 0 ..< 3", values: [3], offsets: [0, 1, 1, 1, 1, 1])
    error("values: value -1 is not in 0 ..< 3", values: [-1], offsets: [0, 0, 0, 0, 0, 1])
    error("values has 4 rows for 5 items", values: [0], offsets: [0, 1, 1, 1, 1])
    error("values: offsets fall from 1 to 0 at row 1", values: [0], offsets: [0, 1, 0, 0, 0, 1])
    for feature: Int32 in [-1, 2, .max, .min] {
      error(
        "feature \(feature) is not in 0 ..< 2", feature: feature, values: values, offsets: offsets)
    }
    error("feature 1 has no values", feature: 1, values: values, offsets: offsets)
    expectError("values is NULL") {
      elastirec_model_set_feature_values(model.handle, 0, nil, $0)
    }
    #expect(scores(model) == before)
  }

  @Test func wrongVectorsAreNamed() {
    let model = Self.model()
    func error(_ expected: String, feature: Int32 = 1, _ numbers: [Float]) {
      expectError(expected) {
        elastirec_model_set_feature_vectors(model.handle, feature, numbers, numbers.count, $0)
      }
    }
    let before = scores(model)
    error("vectors has 9 numbers, expected 5 x 2", Array(vectors.dropLast()))
    error("vectors has 11 numbers, expected 5 x 2", vectors + [1])
    for bad in [Float.nan, .infinity] {
      error("vectors hold NaN or infinity", Array(vectors.dropLast()) + [bad])
    }
    error("feature 0 has no vectors", feature: 0, vectors)
    error("feature 2 is not in 0 ..< 2", feature: 2, vectors)
    expectError("vectors is NULL") {
      elastirec_model_set_feature_vectors(model.handle, 1, nil, 10, $0)
    }
    #expect(scores(model) == before)
  }

  @Test func modelsWithoutFeaturesSaySo() {
    let model = Model()
    expectError("this model reads no features") {
      elastirec_model_set_feature_vectors(model.handle, 0, vectors, 10, $0)
    }
    expectError("this model reads no features") { error in
      withRows(values, offsets) {
        elastirec_model_set_feature_values(model.handle, 0, $0, error)
      }
    }
    expectError("model is NULL") {
      elastirec_model_set_feature_vectors(nil, 0, vectors, 10, $0)
    }
  }
}
