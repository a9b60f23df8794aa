import Autograd
import Interactions
import Layers
import Models
import Synchronization
import Testing
import Training
import _TestSupport

/// What a trainer gives its model: which items, in which groups, with which random numbers.
@Suite struct TrainerBatchesTests {
  /// The groups that a model was given.
  private final class Log: Sendable {
    struct Group {
      let firstToken: Int
      let rows: [[Int32]]
      var tokens: Int { rows.reduce(0) { $0 + $1.count } }
    }

    private let groups = Mutex<[Group]>([])

    func add(_ group: Group) { groups.withLock { $0.append(group) } }

    /// The groups since the last call, by the number of their first token.
    func take() -> [Group] {
      groups.withLock { groups in
        defer { groups = [] }
        return groups.sorted { $0.firstToken < $1.firstToken }
      }
    }
  }

  private struct LoggedModel: CausalModel {
    let model: SASRec
    let log: Log

    var itemCount: Int { model.itemCount }
    var maximalLength: Int { model.maximalLength }
    var configurationJSON: String { model.configurationJSON }

    func encode(_ batch: PackedBatch, on pass: Pass) -> Tensor {
      let rows = zip(batch.offsets, batch.offsets.dropFirst()).map { Array(batch.items[$0..<$1]) }
      log.add(Log.Group(firstToken: pass.firstToken, rows: rows))
      return model.encode(batch, on: pass)
    }

    func scorer(on pass: Pass) -> Scorer { model.scorer(on: pass) }
    func cost(length: Int) -> Cost { model.cost(length: length) }
  }

  /// 2,200 tokens or so; and enough for each list of a step to have several groups.
  private let histories = circle(items: 40, count: 150, lengths: 1...40)
  private let many = circle(items: 40, count: 900, lengths: 10...40)
  private let log = Log()

  private func trainer(
    _ histories: Histories? = nil, _ change: (inout TrainingOptions) -> Void
  ) throws -> Trainer {
    var options = TrainingOptions()
    options.batchSize = 64
    change(&options)
    let model = LoggedModel(model: smallModel(items: 40), log: log)
    return try Trainer(model: model, histories: histories ?? self.histories, options: options)
  }

  /// The inputs of all windows, in an order of their own.
  private func inputs(_ histories: [[Int32]]) -> [[Int32]] {
    histories.filter { $0.count > 1 }.map { $0.suffix(21).dropLast() }
      .sorted { $0.lexicographicallyPrecedes($1) }
  }

  @Test(arguments: [1, 3])
  func anEpochTrainsOnEveryWindowOnce(workers: Int) throws {
    let trainer = try trainer { _ in }
    let expected = inputs((0..<histories.count).map { Array(histories[$0]) })
    for _ in 0..<2 {
      let progress = try trainer.advance(seconds: 1e3, workers: workers)
      let rows = log.take().flatMap(\.rows)
      #expect(progress.isFinished)
      #expect(rows.sorted { $0.lexicographicallyPrecedes($1) } == expected)
    }
  }

  @Test func epochsComeInOtherOrders() throws {
    let trainer = try trainer { $0.batchSize = 1000 }
    _ = try trainer.advance(seconds: 1e3, workers: 1)
    let first = log.take().flatMap(\.rows)
    _ = try trainer.advance(seconds: 1e3, workers: 1)
    #expect(log.take().flatMap(\.rows) != first)
  }

  @Test(arguments: [64, 1000])
  func tokensOfAStepAreNumberedOnce(batchSize: Int) throws {
    // Dropout and negatives are drawn for these numbers, so two groups may not share any.
    let trainer = try trainer(many) { $0.batchSize = batchSize }
    for _ in 0..<3 {
      let before = try trainer.advance(seconds: 0, workers: 3)
      var next = 0
      for group in log.take() {
        #expect(group.firstToken == next)
        next += group.tokens
      }
      #expect(next > 0 && (before.step > 1 || before.tokens == next))
    }
  }

  @Test func groupsStaySmall() throws {
    let trainer = try trainer(many) { $0.batchSize = 1000 }
    _ = try trainer.advance(seconds: 0, workers: 1)
    let groups = log.take()
    #expect(groups.count > 16 && groups.allSatisfy { $0.tokens <= 512 }, "two or more in a list")
  }

  /// A step of no more tokens than a group holds has one group in each list.
  @Test(arguments: [(8, 1), (20, 1), (30, 2), (45, 2), (52, 4)])
  func listsAreAPowerOfTwo(histories: Int, lists: Int) throws {
    // 20 tokens each: 160, 400, 600, 900 and 1,040 of them, 256 and more for a list.
    let trainer = try trainer(circle(items: 40, count: histories, lengths: 21...21)) { _ in }
    _ = try trainer.advance(seconds: 0, workers: 1)
    #expect(log.take().count == lists)
  }
}
