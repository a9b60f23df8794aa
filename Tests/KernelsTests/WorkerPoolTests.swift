import Foundation
import Kernels
import Synchronization
import Testing
import _TestSupport

@Suite struct WorkerPoolTests {
  /// How often each task ran.
  private final class Counters: Sendable {
    private let counts: Mutex<[Int]>

    init(_ count: Int) { counts = Mutex(Array(repeating: 0, count: count)) }

    func add(_ i: Int) { counts.withLock { $0[i] += 1 } }
    var areAllOne: Bool { counts.withLock { $0.allSatisfy { $0 == 1 } } }
  }

  @Test(arguments: [-1, 0, 1, 2, 3, 8, 100], [0, 1, 2, 3, 7, 1000])
  func everyTaskRunsOnce(workers: Int, tasks: Int) {
    for _ in 0..<20 {
      let counters = Counters(tasks)
      WorkerPool.run(tasks: tasks, workers: workers) { counters.add($0) }
      #expect(counters.areAllOne)
    }
  }

  @Test func manySmallJobsFollowEachOther() {
    var total = 0
    for round in 0..<5000 {
      let sums = UnsafeMutablePointer<Int>.allocate(capacity: 3)
      WorkerPool.run(tasks: 3, workers: 1 + round % 4) { sums[$0] = $0 + 1 }
      total += sums[0] + sums[1] + sums[2]
      sums.deallocate()
    }
    #expect(total == 6 * 5000)
  }

  @Test func tasksMayUseThePoolThemselves() {
    let counters = Counters(8 * 8 * 8)
    WorkerPool.run(tasks: 8, workers: 3) { i in
      WorkerPool.run(tasks: 8, workers: 3) { j in
        WorkerPool.run(tasks: 8, workers: 3) { k in counters.add(64 * i + 8 * j + k) }
      }
    }
    #expect(counters.areAllOne)
  }

  @Test func threadsMayUseThePoolAtOnce() {
    let (threads, rounds, tasks) = (6, 200, 10)
    let counters = (0..<threads).map { _ in Counters(rounds * tasks) }
    let group = DispatchGroup()
    for thread in 0..<threads {
      group.enter()
      Thread.detachNewThread {
        for round in 0..<rounds {
          WorkerPool.run(tasks: tasks, workers: 1 + thread % 4) {
            counters[thread].add(round * tasks + $0)
          }
        }
        group.leave()
      }
    }
    #expect(group.wait(timeout: .now() + 60) == .success)
    #expect(counters.allSatisfy { $0.areAllOne })
  }

  @Test func resultsDoNotDependOnTheNumberOfWorkers() {
    let x = randomFloats(1000, seed: 80)
    func sums(_ workers: Int) -> [Float] {
      let result = Guarded(count: 50)
      WorkerPool.run(tasks: 50, workers: workers) { task in
        result.pointer[task] = x.suffix(from: task).reduce(0) { $0 + $1 * Float(task) }
      }
      return result.values
    }
    let alone = sums(1)
    for workers in [2, 3, 8] { expectSameBits(sums(workers), alone, "\(workers) workers") }
  }

  /// Whether two tasks that `job` runs are ever under way at once.
  private func areAtOnce(_ job: (() -> Void) -> Void) -> Bool {
    // The first task waits for the other, which comes only if another thread runs it. Somebody
    // else's job may hold the pool, so there are many tries.
    (0..<200).contains { _ in
      let arrived = Atomic<Int>(0)
      let together = Atomic<Bool>(false)
      job {
        guard arrived.add(1, ordering: .sequentiallyConsistent).newValue == 1 else { return }
        let end = ContinuousClock.now + .milliseconds(20)
        while arrived.load(ordering: .sequentiallyConsistent) < 2 && ContinuousClock.now < end {
          Thread.sleep(forTimeInterval: 1e-4)
        }
        let both = arrived.load(ordering: .sequentiallyConsistent) == 2
        together.store(both, ordering: .sequentiallyConsistent)
      }
      return together.load(ordering: .sequentiallyConsistent)
    }
  }

  @Test func workersRunTasksAtOnce() {
    #expect(areAtOnce { task in WorkerPool.run(tasks: 2, workers: 2) { _ in task() } })
  }

  @Test func aTaskThatIsAloneSharesItsWork() {
    #expect(
      areAtOnce { task in
        WorkerPool.run(tasks: 1, workers: 2) { _ in
          WorkerPool.share(2, least: 1) { _ in task() }
        }
      })
  }

  /// The parts that `share` makes inside a job, in order.
  private func parts(of count: Int, least: Int, tasks: Int, workers: Int) -> [Range<Int>] {
    let parts = Mutex<[Range<Int>]>([])
    WorkerPool.run(tasks: tasks, workers: workers) { _ in
      WorkerPool.share(count, least: least) { part in parts.withLock { $0.append(part) } }
    }
    return parts.withLock { $0 }.sorted { $0.lowerBound < $1.lowerBound }
  }

  @Test(arguments: [0, 1, 47, 96, 97, 200, 1000], [1, 2, 3, 8])
  func partsCoverTheRangeAndAreNotTooSmall(count: Int, workers: Int) {
    let found = parts(of: count, least: 48, tasks: 1, workers: workers)
    #expect(found.flatMap { Array($0) } == Array(0..<count))
    #expect(found.count == max(1, min(workers, count / 48)))
    #expect(found.count == 1 || found.allSatisfy { $0.count >= 48 })
  }

  @Test func onlyATaskThatIsAloneShares() {
    #expect(parts(of: 1000, least: 1, tasks: 3, workers: 3) == [0..<1000, 0..<1000, 0..<1000])
    var outside: [Range<Int>] = []
    WorkerPool.share(1000, least: 1) { outside.append($0) }
    #expect(outside == [0..<1000])
    WorkerPool.run(tasks: 1, workers: 4) { _ in
      WorkerPool.run(tasks: 1, workers: 1) { _ in
        WorkerPool.share(1000, least: 1) { outside.append($0) }
      }
    }
    #expect(outside == [0..<1000, 0..<1000])
  }

  @Test func thereIsAtLeastOneProcessor() {
    #expect(availableProcessors() >= 1)
  }
}
