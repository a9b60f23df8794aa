import Foundation
import Interactions
import Kernels
import Layers
import Models
import Testing

@Suite struct ModelFactoryTests {
  private func make(_ json: String) throws -> any Recommender {
    try makeModel(json: Data(json.utf8))
  }

  private func message(_ json: String) -> String? {
    do {
      _ = try make(json)
      return nil
    } catch {
      return (error as? InvalidArgument)?.message ?? "\(error)"
    }
  }

  @Test func everyFieldReachesTheConfiguration() throws {
    let json = """
      {"model": "sasrec", "items": 7, "dim": 6, "inner_dim": 5, "blocks": 3, "heads": 2, \
      "max_length": 4, "attention": "linear", "dropout": 0.1, "attention_dropout": 0.2, "inner_dropout": 0.3, \
      "norm": "query", "activation": "silu", "norm_epsilon": 1e-06, "scale_embedding": true, \
      "tied": false, "initial_std": 0.5, "seed": 18446744073709551615}
      """
    let model = try #require(try make(json) as? SASRec)
    let c = model.configuration
    #expect(c.items == 7 && c.dim == 6 && c.innerDim == 5 && c.blocks == 3 && c.heads == 2)
    #expect(c.maxLength == 4 && c.attention == .linear && c.dropout == 0.1)
    #expect(c.attentionDropout == 0.2 && c.innerDropout == 0.3)
    #expect(c.norm == .query && c.activation == .silu && c.normEpsilon == 1e-6)
    #expect(c.scaleEmbedding && !c.tied && c.initialStd == 0.5 && c.seed == .max)
    #expect(model.itemCount == 7 && model.maximalLength == 4)
  }

  @Test(
    arguments: [
      #"{"items": 5}"#,
      #"{"items": 5, "norm": "post", "dropout": 0.3, "norm_epsilon": 1e-12, "tied": false}"#,
      #"{"items": 5, "seed": 18446744073709551615, "initial_std": 1e-20}"#,
      #"{"items": 5, "attention": "linear_official"}"#,
      #"{"model": "popularity", "items": 3}"#,
      """
      {"model": "mixer", "items": 5, "dim": 6, "layers": 1, "token_dim": 7, "channel_dim": 9, \
      "dropout": 0.3, "max_length": 4, "norm_epsilon": 1e-06, "initial_std": 0.5, "seed": 3}
      """,
      """
      {"model": "sasrec_plus", "items": 5, "dim": 6, "blocks": 3, "heads": 3, "max_length": 4, \
      "dropout": 0.3, "norm_epsilon": 1e-06, "final_norm": false, "initial_std": 0.5, "seed": 3}
      """,
      """
      {"model": "core", "items": 5, "variant": "trm", "dim": 6, "inner_dim": 7, "blocks": 3, \
      "heads": 3, "max_length": 4, "dropout": 0.1, "attention_dropout": 0.3, \
      "session_dropout": 0.4, "item_dropout": 0.6, "temperature": 0.5, "norm_epsilon": 1e-06, \
      "activation": "relu", "seed": 3}
      """,
      #"{"model": "core", "items": 5, "variant": "ave", "seed": 4}"#,
      """
      {"model": "bert4rec", "items": 5, "dim": 6, "inner_dim": 7, "blocks": 3, "heads": 3, \
      "max_length": 4, "dropout": 0.1, "attention_dropout": 0.3, "activation": "silu", \
      "norm_epsilon": 1e-06, "initial_std": 0.5, "seed": 3}
      """,
    ])
  func configurationsMakeTheSameModelAgain(json: String) throws {
    let model = try make(json)
    let again = try make(model.configurationJSON)
    #expect(again.configurationJSON == model.configurationJSON)
    #expect(again.parameters().map(\.name) == model.parameters().map(\.name))
    #expect(again.parameters().map(\.value.values) == model.parameters().map(\.value.values))
  }

  @Test(
    arguments: [
      ("{}", "the model's configuration lacks items"),
      (#"{"items": 0}"#, "items must be an integer in 1 ... 2147483647, got 0"),
      (#"{"items": 5, "width": 3}"#, "the model's configuration has no field width"),
      (#"{"items": 5, "dim": 6, "heads": 4}"#, "heads must divide dim, got heads 4 and dim 6"),
      (#"{"items": 5, "dropout": 1}"#, "dropout must be a number from 0.0 to below 1.0, got 1"),
      (
        #"{"items": 5, "norm": "last"}"#,
        #"norm must be one of "post", "pre", "query", got "last""#
      ),
      (
        #"{"items": 5, "activation": "none"}"#,
        #"activation must be "gelu", "relu" or "silu", got "none""#
      ),
      (
        #"{"items": 5, "initial_std": -1}"#,
        "initial_std must be a finite number of at least 0.0, got -1"
      ),
      (
        #"{"model": "popularity", "items": 3, "dim": 4}"#,
        "the model's configuration has no field dim"
      ),
    ])
  func wrongFieldsAreNamed(json: String, expected: String) {
    #expect(message(json) == expected)
  }

  @Test func anUnknownModelIsToldWhatThereIs() throws {
    let text = try #require(message(#"{"items": 5, "model": "gru"}"#))
    #expect(text.hasPrefix(#"model must be one of "sasrec", "#))
    #expect(text.hasSuffix(#", got "gru""#))
  }

  @Test(
    arguments: [
      #"{"items": 2147483647, "dim": 65536}"#, #"{"items": 5, "dim": 65536, "blocks": 1024}"#,
      #"{"items": 5, "dim": 64, "inner_dim": 1048576, "blocks": 1024}"#,
      #"{"model": "mixer", "items": 5, "max_length": 1000000, "token_dim": 65536}"#,
      #"{"model": "mixer", "items": 5, "dim": 65536, "channel_dim": 1048576}"#,
      #"{"model": "sasrec_plus", "items": 5, "dim": 65536, "blocks": 1024}"#,
      #"{"model": "core", "items": 2147483647, "dim": 65536, "variant": "ave"}"#,
      #"{"model": "core", "items": 5, "dim": 65536, "blocks": 1024}"#,
      #"{"model": "bert4rec", "items": 5, "dim": 65536, "blocks": 1024}"#,
      // Few weights, from which a large table is computed.
      #"{"model": "fmrlrec", "items": 2147483647, "sizes": [4096], "blocks": 0, "features": [{"kind": "vectors", "width": 4}]}"#,
    ])
  func modelsBeyondAnyMemoryAreRefused(json: String) throws {
    #expect(throws: OutOfMemory.self) { try make(json) }
  }

  @Test func popularityScoresEveryHistoryAlike() throws {
    let model = Popularity(items: 3)
    let popularity = try #require(model.parameters().first)
    #expect(popularity.name == "popularity" && popularity.parameter.isFrozen)
    for (i, count) in [5, 1, 7].enumerated() { popularity.value.pointer[i] = Float(count) }
    let scores = Buffer(count: 6)
    model.score(
      PackedBatch(items: [0, 1, 2], offsets: [0, 1, 3]),
      into: Matrix(scores.pointer, rows: 2, columns: 3))
    #expect((0..<6).map { scores.pointer[$0] } == [5, 1, 7, 5, 1, 7])
    #expect(model.itemVectors == nil && model.maximalLength == 1)
  }
}
