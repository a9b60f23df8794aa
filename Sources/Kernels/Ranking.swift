public import VectorLoops

/// Chooses the k largest scores, equal scores by lower index.
public struct TopK {
  private var heap: [(score: Float, item: Int32)] = []
  private let k: Int

  public init(k: Int) {
    self.k = k
    heap.reserveCapacity(k + 1)
  }

  /// Writes the best items of `scores` and their scores, best first; -1 and -infinity where items
  /// run out.
  ///
  /// Scores of -infinity stand for items that are left out. The loop keeps the k best in a heap
  /// whose root is the worst; whole vectors below the root are passed over, and from the beginning
  /// those below a number that k scores reach.
  public mutating func select(
    _ scores: Input, count: Int, items: UnsafeMutablePointer<Int32>, best: Output?
  ) {
    heap.removeAll(keepingCapacity: true)
    let reached = loops.reachedByLargest(k, of: scores, count: count)
    let least = reached == -.infinity ? reached : reached.nextDown
    var i = 0
    while i < count && k > 0 {
      let bound = heap.count == k ? heap[0].score : least
      i = loops.firstAbove(scores, start: i, count: count, value: bound)
      if i < count { insert(scores[i], Int32(i)) }
      i += 1
    }
    for place in stride(from: k - 1, through: 0, by: -1) {
      if place < heap.count {
        let (score, item) = removeWorst()
        items[place] = item
        best?[place] = score
      } else {
        items[place] = -1
        best?[place] = -.infinity
      }
    }
  }

  private func isWorse(_ a: (score: Float, item: Int32), _ b: (score: Float, item: Int32)) -> Bool {
    a.score < b.score || (a.score == b.score && a.item > b.item)
  }

  private mutating func insert(_ score: Float, _ item: Int32) {
    if heap.count == k {
      heap[0] = (score, item)
      return siftDown()
    }
    heap.append((score, item))
    var child = heap.count - 1
    while child > 0, isWorse(heap[child], heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func removeWorst() -> (score: Float, item: Int32) {
    heap.swapAt(0, heap.count - 1)
    let worst = heap.removeLast()
    siftDown()
    return worst
  }

  private mutating func siftDown() {
    var parent = 0
    while true {
      var worst = parent
      for child in (2 * parent + 1)..<(2 * parent + 3)
      where child < heap.count && isWorse(heap[child], heap[worst]) {
        worst = child
      }
      if worst == parent { return }
      heap.swapAt(parent, worst)
      parent = worst
    }
  }
}
