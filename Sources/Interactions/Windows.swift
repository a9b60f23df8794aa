/// Which part of a long history an epoch trains on.
public enum Crop: String, Sendable, CaseIterable {
  /// The newest items.
  case last
  /// A stretch that each epoch draws anew.
  case random
  /// All of it, as stretches that follow each other from the newest to the oldest.
  case all
}

/// A stretch of the items of all histories: inputs are all of it but the last item, targets all but
/// the first, or the last alone.
public struct Window: Equatable, Sendable {
  public let items: Range<Int>

  public init(items: Range<Int>) { self.items = items }

  public var tokens: Int { items.count - 1 }
}

extension Histories {
  /// The windows of one epoch, of at most `maximalLength` tokens each. Histories of one item have
  /// none.
  public func windows(
    crop: Crop, maximalLength: Int, using generator: inout some RandomNumberGenerator
  ) -> [Window] {
    var windows: [Window] = []
    windows.reserveCapacity(count)
    for row in 0..<count where range(row).count > 1 {
      let items = range(row)
      if items.count <= maximalLength + 1 {
        windows.append(Window(items: items))
        continue
      }
      switch crop {
      case .last: windows.append(Window(items: items.suffix(maximalLength + 1)))
      case .random:
        let start = Int.random(
          in: items.lowerBound...(items.upperBound - maximalLength - 1), using: &generator)
        windows.append(Window(items: start..<(start + maximalLength + 1)))
      case .all:
        var end = items.upperBound
        while end - items.lowerBound > 1 {
          let start = max(items.lowerBound, end - maximalLength - 1)
          windows.append(Window(items: start..<end))
          end = start + 1  // its first item is the next one's last target
        }
      }
    }
    return windows
  }
}

extension Histories {
  /// A window for each item but the first of each history: the newest `maximalLength` items before
  /// it, and itself.
  public func prefixes(maximalLength: Int) -> [Window] {
    (0..<count).flatMap { row in
      range(row).dropFirst().map { end in
        Window(items: max(range(row).lowerBound, end - maximalLength)..<(end + 1))
      }
    }
  }

  /// The newest `maximalLength` items of each history of at least two.
  public func whole(maximalLength: Int) -> [Window] {
    (0..<count).filter { range($0).count > 1 }.map {
      Window(items: range($0).suffix(maximalLength))
    }
  }
}

/// Splits some samples into lists of about equal cost, the same lists on any machine.
///
/// Each list is one worker's share of a step. Costly samples are dealt first, each to the list with
/// least so far.
public func balance<Sample>(_ samples: [Sample], lists: Int, cost: (Sample) -> Int) -> [[Sample]] {
  var result = Array(repeating: [Sample](), count: lists)
  var loads = Array(repeating: 0, count: lists)
  let order = samples.indices.sorted {
    let (a, b) = (cost(samples[$0]), cost(samples[$1]))
    return a == b ? $0 < $1 : a > b
  }
  for i in order {
    let least = loads.indices.min { loads[$0] < loads[$1] } ?? 0
    result[least].append(samples[i])
    loads[least] += cost(samples[i])
  }
  return result
}
