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

  @Test func workersRunTasksAtOnce() {
    // The first of two tasks waits for the other, which comes only if another thread runs it.
    // Somebody else's job may hold the pool, so there are many tries.
    let met = (0..<200).contains { _ in
      let arrived = Atomic<Int>(0)
      let together = Atomic<Bool>(false)
      WorkerPool.run(tasks: 2, workers: 2) { _ in
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
    #expect(met)
  }

  @Test func thereIsAtLeastOneProcessor() {
    #expect(availableProcessors() >= 1)
  }
}
