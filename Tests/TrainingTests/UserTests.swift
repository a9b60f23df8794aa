import Autograd
import Interactions
import Layers
import Models
import Testing
import Training
import _TestSupport

/// Models that know people learn whose history is whose.
@Suite struct UserTests {
  private func model(users: Int) -> Caser {
    var c = Caser.Configuration(items: 6)
    (c.dim, c.window, c.maxLength, c.users, c.dropout) = (8, 2, 4, users, 0)
    return Caser(c)
  }

  private func options() -> TrainingOptions {
    var options = TrainingOptions()
    options.adam.learningRate = 0.02
    return options
  }

  private func table(_ model: Caser) throws -> Tensor {
    try #require(model.parameters().first { $0.name == "user_embedding" }).value
  }

  /// After item 0 everybody takes their own item, which nothing but their number tells.
  @Test func peopleAreTheRowsOfTraining() throws {
    let model = model(users: 5)
    let histories = Histories((1...5).map { [0, Int32($0), 0, Int32($0), 0] })
    let trainer = try Trainer(model: model, histories: histories, options: options())
    for _ in 0..<150 { _ = try trainer.advance(seconds: 1e3, workers: 2) }
    let asked = Histories(Array(repeating: [0], count: 5), users: [4, 3, 2, 1, 0])
    let scores = Tensor(shape: [5, 6])
    Ranker(model: model).score(asked, workers: 1, into: scores.pointer)
    for row in 0..<5 {
      let line = scores.block(rows: row..<(row + 1)).values
      #expect(line.indices.max { line[$0] < line[$1] } == 5 - row)
    }
  }

  @Test func historiesMaySayWhoseTheyAre() throws {
    let model = model(users: 9)
    let before = try table(model).values
    let histories = Histories([[0, 1, 2], [], [3, 4], [5, 2]], users: [7, 1, -1, 2])
    let trainer = try Trainer(model: model, histories: histories, options: options())
    _ = try trainer.advance(seconds: 1e3, workers: 1)
    let after = try table(model)
    let moved = (0..<9).filter {
      after.block(rows: $0..<($0 + 1)).values != Array(before[($0 * 8)..<(($0 + 1) * 8)])
    }
    #expect(moved == [2, 7])
  }

  @Test func strangersAreRefused() {
    let rows: [[Int32]] = [[0, 1], [2, 3], [4, 5]]
    for histories in [Histories(rows), Histories(rows, users: [0, 2, 1])] {
      #expect(
        throws: InvalidArgument("the model knows 2 users, and there are histories of 3")
      ) { try Trainer(model: model(users: 2), histories: histories, options: options()) }
    }
  }
}
