// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CElastirec
import FoundationEssentials
import Interactions
import Kernels
import Models
import Training

@_cdecl("elastirec_trainer_create") @implementation
public func elastirec_trainer_create(
  _ model: OpaquePointer!, _ options: UnsafePointer<CChar>!, _ length: Int,
  _ rows: UnsafePointer<elastirec_rows>!, _ trainer: UnsafeMutablePointer<OpaquePointer?>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let box = try Handle<ModelBox>.at(model, "model").value
    guard let network = box.model as? any SequentialModel else {
      throw InvalidArgument("this model is not trained by gradients")
    }
    let data = Data(bytes: try unwrap(options, "options"), count: length)
    var fields = try Fields(json: data, name: "the training options")
    let decoded = try TrainingOptions(&fields)
    try fields.finish()
    let made = try Trainer(model: network, histories: try box.histories(rows), options: decoded)
    try unwrap(trainer, "trainer").pointee = Handle.retained(made)
  }
}

@_cdecl("elastirec_trainer_free") @implementation
public func elastirec_trainer_free(_ trainer: OpaquePointer!) {
  Handle<Trainer>.release(trainer)
  // What a step needs would stay with a process that goes on to serve.
  Buffer.trim()
}

@_cdecl("elastirec_trainer_advance") @implementation
public func elastirec_trainer_advance(
  _ trainer: OpaquePointer!, _ seconds: Double, _ threads: Int32,
  _ progress: UnsafeMutablePointer<elastirec_progress>!,
  _ error: UnsafeMutablePointer<elastirec_error>!
) -> elastirec_status {
  atBoundary(error) {
    let trainer = try Handle<Trainer>.at(trainer, "trainer").value
    let place = try unwrap(progress, "progress")
    try require(!seconds.isNaN, "seconds is NaN")
    let now = try trainer.advance(seconds: seconds, workers: workers(threads))
    place.pointee = elastirec_progress(
      epoch: Int64(now.epoch), step: Int64(now.step), steps: Int64(now.steps),
      tokens: Int64(now.tokens), loss: now.loss, finished: now.isFinished ? 1 : 0)
  }
}
