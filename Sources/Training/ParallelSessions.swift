import Autograd
import Interactions
import Kernels
import Models

/// Sessions side by side: each slot reads one item a step, and begins another session where its own
/// has ended. States go on from step to step, gradients do not.
///
/// Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016.
final class ParallelSessions {
  /// What one slot does in one step.
  struct Turn: Equatable {
    let slot: Int
    /// The item that is read and the one that follows.
    let window: Window
    let isFirst: Bool
  }

  private let model: any SessionModel
  private let stateSize: Int
  private let states: Tensor
  private(set) var steps: [[Turn]] = []

  init(model: any SessionModel, stateSize: Int, slots: Int) {
    self.model = model
    self.stateSize = stateSize
    states = Tensor(shape: [slots, stateSize])
  }

  /// Deals sessions, in this order, each to the slot that is free first.
  func begin(_ sessions: [Range<Int>]) {
    var free = Array(repeating: 0, count: states.rows)  // the first step that a slot is free
    steps = []
    for session in sessions where session.count > 1 {
      guard let slot = free.indices.min(by: { free[$0] < free[$1] }) else { return }
      for item in session.dropLast() {
        if free[slot] == steps.count { steps.append([]) }
        steps[free[slot]].append(
          Turn(
            slot: slot, window: Window(items: item..<(item + 2)),
            isFirst: item == session.lowerBound))
        free[slot] += 1
      }
    }
  }

  /// The states after one more item of some slots.
  func encode(_ items: [Int32], _ turns: [Turn], on pass: Pass) -> Tensor {
    let own = Tensor(shape: [turns.count, stateSize])
    for (i, turn) in turns.enumerated() {
      let row = own.pointer + i * stateSize
      if turn.isFirst {
        row.update(repeating: 0, count: stateSize)
      } else {
        row.update(from: states.pointer + turn.slot * stateSize, count: stateSize)
      }
    }
    let hidden = model.advance(own.matrix, by: items, on: pass)
    for (i, turn) in turns.enumerated() {
      (states.pointer + turn.slot * stateSize).update(
        from: own.pointer + i * stateSize, count: stateSize)
    }
    return hidden
  }
}
