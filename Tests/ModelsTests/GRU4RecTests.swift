import Autograd
import Foundation
import Interactions
import Kernels
import Layers
import Models
import Testing
import VectorLoops
import _TestSupport

@Suite struct GRU4RecTests {
  private func small(_ form: PackedGRU.Form, layers: Int = 2) -> GRU4Rec.Configuration {
    var c = GRU4Rec.Configuration(items: 11)
    (c.dim, c.hiddenDim, c.layers, c.form, c.maxLength) = (4, 3, layers, form, 6)
    return c
  }

  private func shapes(_ c: GRU4Rec.Configuration) -> [String: [Int]] {
    Dictionary(uniqueKeysWithValues: GRU4Rec(c).parameters().map { ($0.name, $0.value.shape) })
  }

  @Test func parametersOfRecBolesFormHaveNoBiases() {
    #expect(
      shapes(small(.recbole)) == [
        "item_embedding": [11, 4], "layers.0.input.weight": [9, 4],
        "layers.0.recurrent.weight": [9, 3], "layers.1.input.weight": [9, 3],
        "layers.1.recurrent.weight": [9, 3], "map.weight": [4, 3], "map.bias": [4],
      ])
  }

  @Test func parametersOfTensorFlowsFormScoreWithATableOfTheirOwn() {
    #expect(
      shapes(small(.tensorflow)) == [
        "item_embedding": [11, 4], "layers.0.input.weight": [9, 4], "layers.0.input.bias": [9],
        "layers.0.recurrent.weight": [9, 3], "layers.1.input.weight": [9, 3],
        "layers.1.input.bias": [9], "layers.1.recurrent.weight": [9, 3],
        "output_embedding": [11, 3], "output_bias": [11],
      ])
  }

  @Test func weightsBeginAsTheirFormsHaveThem() {
    for parameter in GRU4Rec(small(.tensorflow)).parameters() {
      let values = parameter.value.values
      switch parameter.name {
      case "layers.0.input.bias", "layers.1.input.bias":
        #expect(values == [1, 1, 1, 1, 1, 1, 0, 0, 0])
      case "output_bias": #expect(values.allSatisfy { $0 == 0 })
      case "item_embedding", "output_embedding":
        #expect(values.allSatisfy { abs($0) < 0.12 && $0 != 0 })
      default:
        let sides = Float(parameter.value.rows + parameter.value.columns)
        #expect(values.allSatisfy { abs($0) <= (6 / sides).squareRoot() && $0 != 0 })
        #expect(values.contains { abs($0) > 0.3 }, "\(parameter.name)")
      }
    }
  }

  @Test func multiplyAddsAreThoseCountedByHand() {
    // Two tokens: maps 9 * (4 + 3) and 9 * (3 + 3), in each layer 2 * 3 products of gates; the last
    // state's map 3 * 4.
    let recbole = GRU4Rec(small(.recbole))
    #expect(recbole.cost(length: 2).macs == 2 * (63 + 6 + 54 + 6) + 12)
    #expect(recbole.cost(length: 100) == recbole.cost(length: 6))
    let one = GRU4Rec(small(.tensorflow, layers: 1))
    #expect(one.cost(length: 0).macs == 63 + 6)
    #expect(one.cost(length: 1).parameters == 11 * 4 + 36 + 9 + 27 + 11 * 4)
  }

  @Test func everyFieldReachesTheConfiguration() throws {
    let json = """
      {"model": "gru4rec", "items": 7, "dim": 6, "hidden_dim": 5, "layers": 3, "dropout": 0.1, \
      "output_dropout": 0.2, "form": "tensorflow", "max_length": 4, "initial_std": 0.5, "seed": 9}
      """
    let model = try #require(try makeModel(json: Data(json.utf8)) as? GRU4Rec)
    let c = model.configuration
    #expect(c.items == 7 && c.dim == 6 && c.hiddenDim == 5 && c.layers == 3)
    #expect(c.dropout == 0.1 && c.outputDropout == 0.2 && c.form == .tensorflow)
    #expect(c.maxLength == 4 && c.initialStd == 0.5 && c.seed == 9)
    #expect(model.stateSize == 15)
  }

  @Test func outputsAreDroppedAfterEachLayer() {
    var c = small(.recbole)
    (c.dropout, c.outputDropout) = (0, 0.5)
    let model = GRU4Rec(c)
    func states(_ key: RandomKey?) -> [Float] {
      model.encode(PackedBatch([[1, 2], [3]]), on: Pass(tape: nil, dropoutKey: key)).values
    }
    #expect(states(RandomKey(seed: 1, step: 1, op: 0)) != states(nil))
  }
}
