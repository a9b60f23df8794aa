import Foundation
import Interactions
import Testing
import Training

@Suite struct TrainingOptionsTests {
  private func options(_ json: String) throws -> TrainingOptions {
    var fields = try Fields(json: Data(json.utf8), name: "options")
    let options = try TrainingOptions(&fields)
    try fields.finish()
    return options
  }

  @Test func everyFieldReachesTheOptions() throws {
    let o = try options(
      """
      {"loss": "sampled_softmax", "negatives": 3, "gbce_t": 1, "sampler": "log_uniform", \
      "batch_size": 5, "crop": "random", "optimizer": "adamw", "adam_form": "tensorflow", \
      "learning_rate": 0.5, "beta1": 0.25, "beta2": 0.75, "epsilon": 0.125, \
      "weight_decay": 0.0625, "gradient_clip": 2.5, "schedule": "cosine", "warmup_steps": 6, \
      "total_epochs": 7, "seed": 18446744073709551615, "first_epoch": 8, \
      "sparse_gradients": true}
      """)
    #expect(o.loss == .sampledSoftmax && o.negatives == 3 && o.gbceT == 1)
    #expect(o.sampler == .logUniform && o.batchSize == 5 && o.crop == .random)
    #expect(o.adam.isDecoupled && o.adam.form == .tensorflow && o.adam.learningRate == 0.5)
    #expect(o.adam.beta1 == 0.25 && o.adam.beta2 == 0.75 && o.adam.epsilon == 0.125)
    #expect(o.adam.weightDecay == 0.0625 && o.gradientClip == 2.5)
    #expect(o.schedule == .cosine && o.warmupSteps == 6 && o.totalEpochs == 7)
    #expect(o.seed == .max && o.firstEpoch == 8 && o.sparseGradients)
    #expect(try options(#"{"label_smoothing": 0.25}"#).labelSmoothing == 0.25)
    #expect(try options(#"{"seen_margin": 1.5}"#).seenMargin == 1.5)
    #expect(try options(#"{"seen_margin": -100}"#).seenMargin == -100)
  }

  @Test func whatIsLeftOutTakesTheDefaults() throws {
    let (read, made) = (try options("{}"), TrainingOptions())
    #expect("\(read)" == "\(made)")
    #expect(!read.adam.isDecoupled && read.loss == .softmax && read.crop == .last)
  }

  @Test(
    arguments: [
      (#"{"negatives": 0}"#, "negatives must be an integer in 1 ... 1000000, got 0"),
      (#"{"gbce_t": 1.5}"#, "gbce_t must be a number from 0.0 to 1.0, got 1.5"),
      (
        #"{"sampler": "zipf"}"#,
        #"sampler must be one of "uniform", "popularity", "log_uniform", got "zipf""#
      ),
      (#"{"crop": "first"}"#, #"crop must be one of "last", "random", "all", got "first""#),
      (#"{"adam_form": 1}"#, #"adam_form must be one of "torch", "tensorflow", got 1"#),
      (
        #"{"schedule": "step"}"#,
        #"schedule must be one of "constant", "linear", "cosine", got "step""#
      ),
      (#"{"beta2": 1.0}"#, "beta2 must be a number from 0.0 to below 1.0, got 1"),
      (
        #"{"gradient_clip": "0.5"}"#,
        #"gradient_clip must be a finite number of at least 0.0, got "0.5""#
      ),
      (#"{"total_epochs": 0}"#, "total_epochs must be an integer in 1 ... 2147483647, got 0"),
      (#"{"warmup_steps": -1}"#, "warmup_steps must be an integer of at least 0, got -1"),
      (#"{"seed": -1}"#, "seed must be an integer in 0 ... 2^64 - 1, got -1"),
      (#"{"sparse_gradients": 1}"#, "sparse_gradients must be true or false, got 1"),
      (
        #"{"sparse_gradients": true}"#,
        #"sparse_gradients needs a loss of sampled items, got loss "softmax""#
      ),
      (
        #"{"loss": "gbce", "label_smoothing": 0.1}"#,
        #"label_smoothing needs loss "softmax", got loss "gbce""#
      ),
      (
        #"{"loss": "bpr", "seen_margin": 1}"#,
        #"seen_margin needs loss "softmax", got loss "bpr""#
      ),
      (
        #"{"seen_margin": -20, "label_smoothing": 0.1}"#,
        "label_smoothing wants probability for all items, so seen_margin must not be below 0"
      ),
      (#"{"seen_margin": -101}"#, "seen_margin must be a number from -100.0 to 100.0, got -101"),
    ])
  func wrongFieldsAreNamed(json: String, expected: String) {
    #expect(throws: InvalidArgument(expected)) { try options(json) }
  }
}
