import CElastirec
import Testing

@Suite struct TrainerABITests {
  private let model = Model()
  private let items: [Int32] = [0, 1, 2, 3, 4, 2, 3, 1]

  private func create(
    _ options: String, _ trainer: inout OpaquePointer?,
    _ error: UnsafeMutablePointer<elastirec_error>?
  ) -> elastirec_status {
    withRows(items, [0, 5, 8]) {
      elastirec_trainer_create(model.handle, options, options.utf8.count, $0, &trainer, error)
    }
  }

  private func expectRefused(
    _ options: String, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    var trainer: OpaquePointer?
    expectError(expected, sourceLocation: sourceLocation) { create(options, &trainer, $0) }
    #expect(trainer == nil, sourceLocation: sourceLocation)
  }

  @Test func trainingReportsItsProgress() {
    var trainer: OpaquePointer?
    #expect(create(#"{"batch_size": 1}"#, &trainer, nil) == ELASTIREC_OK)
    defer { elastirec_trainer_free(trainer) }
    var progress = elastirec_progress()
    for (epoch, step) in [(1, 1), (1, 2), (2, 1)] as [(Int64, Int64)] {
      #expect(elastirec_trainer_advance(trainer, 0, 1, &progress, nil) == ELASTIREC_OK)
      #expect(progress.epoch == epoch && progress.step == step && progress.steps == 2)
      #expect(progress.finished == (step == 2 ? 1 : 0) && progress.loss.isFinite)
    }
    #expect(elastirec_trainer_advance(trainer, .infinity, 0, &progress, nil) == ELASTIREC_OK)
    #expect(progress.epoch == 2 && progress.finished == 1 && progress.tokens == 6)
  }

  @Test func trainersKeepTheirModelAlive() {
    var handle: OpaquePointer?
    let json = #"{"items": 5, "dim": 4, "heads": 1}"#
    #expect(elastirec_model_create(json, json.utf8.count, &handle, nil) == ELASTIREC_OK)
    var trainer: OpaquePointer?
    withRows(items, [0, 8]) {
      #expect(elastirec_trainer_create(handle, "{}", 2, $0, &trainer, nil) == ELASTIREC_OK)
    }
    elastirec_model_free(handle)
    var progress = elastirec_progress()
    #expect(elastirec_trainer_advance(trainer, 1, 1, &progress, nil) == ELASTIREC_OK)
    elastirec_trainer_free(trainer)
  }

  @Test func wrongOptionsAreNamed() {
    expectRefused("", "the training options is not a JSON object")
    expectRefused("[]", "the training options is not a JSON object")
    expectRefused(#"{"lr": 1}"#, "the training options has no field lr")
    expectRefused(
      #"{"batch_size": 0}"#, "batch_size must be an integer in 1 ... 2147483647, got 0")
    expectRefused(
      #"{"loss": "mse"}"#,
      "loss must be one of \"softmax\", \"sampled_softmax\", \"bce\", \"gbce\", \"bpr\", "
        + "\"top1\", \"bpr_max\", got \"mse\"")
    expectRefused(
      #"{"loss": "bce", "label_smoothing": 0.1}"#,
      "label_smoothing needs loss \"softmax\", got loss \"bce\"")
    expectRefused(
      #"{"learning_rate": -0.5}"#,
      "learning_rate must be a finite number of at least 0.0, got -0.5")
    expectRefused(#"{"beta1": 1}"#, "beta1 must be a number from 0.0 to below 1.0, got 1")
    expectRefused(
      #"{"optimizer": "sgd"}"#,
      "optimizer must be one of \"adam\", \"adamw\", \"adagrad\", got \"sgd\"")
    expectRefused(
      #"{"samples": "cloze"}"#, "samples \"cloze\" need a model that fills gaps")
  }

  @Test func wrongPointersAndDataAreNamed() {
    var trainer: OpaquePointer?
    withRows(items, [0, 5]) { rows in
      expectError("model is NULL") {
        elastirec_trainer_create(nil, "{}", 2, rows, &trainer, $0)
      }
      expectError("options is NULL") {
        elastirec_trainer_create(model.handle, nil, 2, rows, &trainer, $0)
      }
      expectError("trainer is NULL") {
        elastirec_trainer_create(model.handle, "{}", 2, rows, nil, $0)
      }
      let popularity = Model(#"{"model": "popularity", "items": 5}"#)
      expectError("this model is not trained by gradients") {
        elastirec_trainer_create(popularity.handle, "{}", 2, rows, &trainer, $0)
      }
    }
    expectError("histories is NULL") {
      elastirec_trainer_create(model.handle, "{}", 2, nil, &trainer, $0)
    }
    expectError("training needs a history of at least two items") { error in
      withRows([1, 2], [0, 1, 2]) {
        elastirec_trainer_create(model.handle, "{}", 2, $0, &trainer, error)
      }
    }
    #expect(trainer == nil)
    var progress = elastirec_progress()
    expectError("trainer is NULL") { elastirec_trainer_advance(nil, 0, 1, &progress, $0) }
    #expect(create("{}", &trainer, nil) == ELASTIREC_OK)
    expectError("progress is NULL") { elastirec_trainer_advance(trainer, 0, 1, nil, $0) }
    expectError("seconds is NaN") { elastirec_trainer_advance(trainer, .nan, 1, &progress, $0) }
    elastirec_trainer_free(trainer)
  }

  @Test func divergingTrainingLeavesTheWeights() {
    var table = (0..<20).map { Float($0) * 1e37 }
    #expect(
      elastirec_model_set_parameter(model.handle, "item_embedding", table, 20, nil)
        == ELASTIREC_OK)
    var trainer: OpaquePointer?
    #expect(create("{}", &trainer, nil) == ELASTIREC_OK)
    defer { elastirec_trainer_free(trainer) }
    var (progress, error) = (elastirec_progress(), elastirec_error())
    let status = elastirec_trainer_advance(trainer, 0, 1, &progress, &error)
    #expect(status == ELASTIREC_DIVERGED && error.code == ELASTIREC_DIVERGED)
    #expect(message(error).contains("step 1 of epoch 1"))
    #expect(progress.epoch == 0 && progress.steps == 0)
    let before = table
    #expect(
      elastirec_model_get_parameter(model.handle, "item_embedding", &table, 20, nil)
        == ELASTIREC_OK)
    #expect(table == before)
  }
}
