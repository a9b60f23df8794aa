/// Loops over the steps of one history.
public protocol SequenceLoops {
  /// h[t] = lambda h[t - 1] + gain b[t] for complex numbers, where h[-1] is `state`, or zero.
  ///
  /// `channels` imaginary parts follow as many real ones in every row, in `lambda` and in `state`;
  /// `gain` is real. Rows of b and h are `stride` and `outputStride` floats apart, which may be
  /// negative: that runs backwards in time. b and h may be the same memory.
  func linearRecurrence(
    _ b: Input, lambda: Input, gain: Input, from state: Input?, into h: Output, steps: Int,
    channels: Int, stride: Int, outputStride: Int)

  /// h[t] += lambda^(t + 1) state: what an earlier state adds to steps that were run without it.
  func addDecay(
    of state: Input, lambda: Input, into h: Output, steps: Int, channels: Int, stride: Int)

  /// Finds the gradients of `linearRecurrence` from those of its states, `delta`, the influence
  /// through later states included: replaces delta by the gradient of b, gain * delta, and adds the
  /// sum of conj(h[t - 1]) delta[t] to `dLambda`, that of Re(conj(b[t]) delta[t]) to `dGain`.
  ///
  /// h[-1] is zero. Rows of delta, b and h are `stride` floats apart.
  func linearRecurrenceBackward(
    delta: Output, b: Input, h: Input, gain: Input, steps: Int, channels: Int, stride: Int,
    dLambda: Output, dGain: Output)

  /// y[i] = sigmoid(a[i] + b[i]).
  func sigmoidOfSum(_ a: Input, _ b: Input, into y: Output, count: Int)

  /// The candidate and the new state of a gated recurrent unit, n = tanh(x + r u) and
  /// h = n + z (h - n); r is 1 where `reset` is nil. Writes n to `candidate`.
  func gatedUpdate(
    x: Input, u: Input, reset: Input?, update: Input, state: Output, candidate: Output,
    count: Int)

  /// Replaces `dState`, the gradient of the new state, by z times itself, its part that goes to the
  /// old state `before` directly, and writes the gradients of what the update gate and the candidate
  /// were computed from, before their sigmoid and tanh.
  func gatedUpdateBackward(
    update: Input, candidate: Input, before: Input, dState: Output, dUpdate: Output,
    dCandidate: Output, count: Int)

  /// For y = r u with r = sigmoid(a), writes the gradient of a to `dReset`. The gradient of u
  /// replaces that of y, `dProduct`.
  func gatedProductBackward(
    reset: Input, u: Input, dProduct: Output, dReset: Output, count: Int)

  /// Where x[i] > y[i], replaces y[i] by x[i] and `places[i]` by `place`.
  func takeLarger(_ x: Input, place: Float, into y: Output, places: Output, count: Int)
}
