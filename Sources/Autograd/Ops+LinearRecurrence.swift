import Kernels

/// Returns the states of a complex diagonal recurrence over packed histories: see
/// `PackedRecurrence`.
///
/// - Shapes: `x` and the result are `[tokens, 2 channels]`, real parts first; `nuLog`, `thetaLog`
///   and `gammaLog` are `[channels]`; history s owns rows `offsets[s] ..< offsets[s + 1]`.
public func linearRecurrence(
  _ x: Tensor, nuLog: Tensor, thetaLog: Tensor, gammaLog: Tensor, offsets: [Int], on pass: Pass
) -> Tensor {
  let channels = nuLog.count
  precondition(
    x.columns == 2 * channels && thetaLog.count == channels && gammaLog.count == channels,
    "linearRecurrence: \(x.shape) does not fit \(nuLog.shape)")
  precondition(offsets.last == x.rows, "linearRecurrence: offsets do not end at \(x.rows)")
  let recurrence = PackedRecurrence(
    nuLog: nuLog.pointer, thetaLog: thetaLog.pointer, gammaLog: gammaLog.pointer,
    channels: channels, offsets: offsets)
  let h = Tensor(shape: x.shape)
  recurrence.forward(x.matrix, into: h.matrix)
  return pass.result(h, of: [x, nuLog, thetaLog, gammaLog]) { tape in
    { g in
      let logs = Tensor(shape: [3, channels])
      logs.matrix.zero()
      recurrence.backward(
        b: x.matrix, h: h.matrix, dh: g.matrix, dNuLog: logs.pointer,
        dThetaLog: logs.pointer + channels, dGammaLog: logs.pointer + 2 * channels)
      for (i, log) in [nuLog, thetaLog, gammaLog].enumerated() {
        tape.add(to: log) {
          loops.accumulate(
            logs.pointer + i * channels, alpha: 1, into: $0.pointer, count: channels)
        }
      }
      tape.add(g, to: x)
    }
  }
}
