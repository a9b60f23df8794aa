import CProcessor
import Glibc
import Synchronization

/// Threads that run the tasks of one job at a time, made on first use and again in a forked child.
///
/// A thread that waits for work spins for some microseconds, then blocks, so that an idle pool
/// takes no processor time. A caller who finds the pool busy runs its tasks itself.
public final class WorkerPool: @unchecked Sendable {
  private static let current = Current()

  /// Runs `body` once for each number in `0 ..< tasks`, on at most `workers` threads, the caller's
  /// among them.
  ///
  /// Tasks may run in any order and at once, so each must write to its own memory. What they
  /// compute must not depend on `workers`. A single task may share its own work with the workers
  /// that have nothing to do; see `share`.
  public static func run(tasks: Int, workers: Int, _ body: (Int) -> Void) {
    let before = processor_spare_threads()
    processor_set_spare_threads(tasks == 1 ? Int32(clamping: workers) : 1)
    defer { processor_set_spare_threads(before) }
    if tasks <= 1 || workers <= 1 || !current.pool.tryRun(tasks, min(workers, tasks), body) {
      for task in 0..<tasks { body(task) }
    }
  }

  /// Runs `body` on parts of `0 ..< count`, none smaller than `least`, at once where the job under
  /// way on this thread leaves workers without tasks.
  ///
  /// What is computed must not depend on how the range is divided.
  public static func share(_ count: Int, least: Int, _ body: (Range<Int>) -> Void) {
    let parts = count < 2 * least ? 1 : min(spare, count / least)
    if parts == 1 { return body(0..<count) }
    run(tasks: parts, workers: parts) { i in
      body((count * i / parts)..<(count * (i + 1) / parts))
    }
  }

  /// How many threads the job under way on this thread may use for the work of one task.
  static var spare: Int { Int(processor_spare_threads()) }

  /// The closure stays with the caller: threads that held a reference might give it back after the
  /// job is over.
  private struct Job {
    let body: UnsafePointer<(Int) -> Void>
    let tasks: Int
  }

  private let owner = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let done = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var threads = 0
  private var job: Job?
  private let generation = Atomic<Int>(0)
  private let nextTask = Atomic<Int>(0)
  /// Places left for threads to join the job; below the lock.
  private var seats = 0
  private let active = Atomic<Int>(0)

  fileprivate init() {
    pthread_mutex_init(owner, nil)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wake, nil)
    pthread_cond_init(done, nil)
  }

  private func tryRun(_ tasks: Int, _ workers: Int, _ body: (Int) -> Void) -> Bool {
    guard pthread_mutex_trylock(owner) == 0 else { return false }
    defer { pthread_mutex_unlock(owner) }
    // The job is gone before this function returns, so the closure does not escape.
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { run(Job(body: $0, tasks: tasks), workers) }
    }
    return true
  }

  private func run(_ job: Job, _ workers: Int) {
    pthread_mutex_lock(lock)
    startThreads(upTo: workers - 1)
    self.job = job
    seats = min(workers - 1, threads)
    nextTask.store(0, ordering: .relaxed)
    generation.add(1, ordering: .releasing)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(lock)
    work(job)
    pthread_mutex_lock(lock)
    seats = 0
    self.job = nil
    pthread_mutex_unlock(lock)
    waitForActive()
  }

  private func work(_ job: Job) {
    while true {
      let task = nextTask.add(1, ordering: .relaxed).oldValue
      if task >= job.tasks { return }
      job.body.pointee(task)
    }
  }

  private func waitForActive() {
    for _ in 0..<Self.spins {
      if active.load(ordering: .acquiring) == 0 { return }
      processor_relax()
    }
    pthread_mutex_lock(lock)
    while active.load(ordering: .acquiring) > 0 { pthread_cond_wait(done, lock) }
    pthread_mutex_unlock(lock)
  }

  /// About 20 microseconds of pauses.
  private static let spins = 1000

  private func startThreads(upTo count: Int) {
    while threads < count {
      var thread = pthread_t()
      let pool = Unmanaged.passUnretained(self).toOpaque()
      // A pool lives as long as its process, so its threads need not retain it.
      let status = pthread_create(
        &thread, nil,
        { pool in
          guard let pool else { return nil }
          Unmanaged<WorkerPool>.fromOpaque(pool).takeUnretainedValue().serve()
          return nil
        }, pool)
      if status != 0 { return }  // fewer threads, the same result
      pthread_detach(thread)
      threads += 1
    }
  }

  private func serve() {
    var seen = 0
    while true {
      for _ in 0..<Self.spins where generation.load(ordering: .acquiring) == seen {
        processor_relax()
      }
      pthread_mutex_lock(lock)
      while seats == 0 || generation.load(ordering: .relaxed) == seen {
        if seats == 0 { seen = generation.load(ordering: .relaxed) }
        pthread_cond_wait(wake, lock)
      }
      seen = generation.load(ordering: .relaxed)
      seats -= 1
      active.add(1, ordering: .relaxed)
      let job = self.job
      pthread_mutex_unlock(lock)
      if let job { work(job) }
      if active.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
        pthread_mutex_lock(lock)
        pthread_cond_signal(done)
        pthread_mutex_unlock(lock)
      }
    }
  }

  /// The process's pool. A forked child has none of its parent's threads, so it gets a new pool.
  private final class Current: @unchecked Sendable {
    private(set) var pool = WorkerPool()

    init() {
      pthread_atfork(nil, nil) { WorkerPool.current.replaceAfterFork() }
    }

    func replaceAfterFork() {
      // The old pool's locks may be held by threads that no longer exist; it is left as it is.
      _ = Unmanaged.passRetained(pool)
      pool = WorkerPool()
    }
  }
}

/// The number of processors that this process may run on.
public func availableProcessors() -> Int { max(1, Int(processor_count())) }
