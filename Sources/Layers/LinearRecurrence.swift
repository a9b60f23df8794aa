public import Autograd
import Glibc
public import Interactions
public import Kernels

/// The linear recurrent unit: y = W [Re h; Im h] + b with h[t] = lambda h[t - 1] + gamma (B x[t] + c),
/// where h, lambda, B and c are complex and lambda is diagonal (Orvieto et al., "Resurrecting
/// recurrent neural networks for long sequences", ICML 2023). See `PackedRecurrence`.
public struct LinearRecurrence: Module {
  /// Where the eigenvalues lambda begin: uniform by area on a ring of the unit disc.
  public struct Ring: Sendable {
    public var inner: Double
    public var outer: Double
    /// The largest angle.
    public var maximalPhase: Double

    public init(inner: Double, outer: Double, maximalPhase: Double) {
      self.inner = inner
      self.outer = outer
      self.maximalPhase = maximalPhase
    }
  }

  let nuLog: Parameter  // [channels]
  let thetaLog: Parameter  // [channels]
  let gammaLog: Parameter  // [channels]
  /// Rows: Re B, then Im B.
  let input: any LinearMap
  /// Columns: Re C, then -Im C.
  let output: any LinearMap
  let channels: Int

  /// - Parameter sizes: of a nested model, whose `channels` are a multiple of `dim`.
  public init(
    dim: Int, channels: Int, ring: Ring, sizes: [Int]? = nil, using initializer: inout Initializer
  ) {
    self.channels = channels
    nuLog = Parameter(shape: [channels])
    thetaLog = Parameter(shape: [channels])
    gammaLog = Parameter(shape: [channels])
    input = linearMap(dim, 2 * channels, outputPlanes: 2, sizes: sizes, using: &initializer)
    output = linearMap(2 * channels, dim, inputPlanes: 2, sizes: sizes, using: &initializer)
    // An eigenvalue on the rim, or an angle of zero, could never move again.
    func fraction(below high: Double) -> Double {
      min(max(initializer.fraction(), 1e-6), high)
    }
    for c in 0..<channels {
      let u = fraction(below: 1 - 1e-6)
      let area = u * (ring.outer * ring.outer - ring.inner * ring.inner) + ring.inner * ring.inner
      nuLog.value.pointer[c] = Float(log(-log(area) / 2))
      thetaLog.value.pointer[c] = Float(log(ring.maximalPhase * fraction(below: 1)))
      // White noise that comes in makes states as large as itself.
      gammaLog.value.pointer[c] = Float(log(1 - area) / 2)
    }
  }

  /// - Shapes: `x` and the result are `[tokens, dim]`.
  public func callAsFunction(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    output(states(x, batch, on: pass), on: pass)
  }

  /// The result at the last position of each history alone, for inference.
  ///
  /// - Shapes: `x` is `[tokens, dim]`, the result is `[histories, dim]`.
  public func last(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    output(gather(states(x, batch, on: pass), rows: batch.lastTokens, on: pass), on: pass)
  }

  /// The numbers that stand for one person's past.
  public var stateSize: Int { 2 * channels }

  /// Advances each state by one input.
  ///
  /// - Shapes: `x` and the result are `[people, dim]`, `states` is `[people, stateSize]`.
  public func advance(_ states: Matrix, by x: Tensor) -> Tensor {
    let recurrence = PackedRecurrence(
      nuLog: nuLog.value.pointer, thetaLog: thetaLog.value.pointer,
      gammaLog: gammaLog.value.pointer, channels: channels, offsets: Array(0...x.rows))
    let driven = input(x, on: .inference)
    let h = Tensor(shape: driven.shape)
    recurrence.forward(driven.matrix, states: states, into: h.matrix)
    return output(h, on: .inference)
  }

  /// Begins B and C as real maps of PyTorch's, with no imaginary parts.
  public func initializeUniform(using initializer: inout Initializer) {
    for map in input.levels {
      initializer.uniform(map)
      let half = map.weight.value.rows / 2
      map.weight.value.block(rows: half..<(2 * half)).matrix.zero()
      map.bias?.value.block(columns: half..<(2 * half)).matrix.zero()
    }
    for map in output.levels {
      let half = map.weight.value.columns / 2
      initializer.uniform(map, inputs: half)
      map.weight.value.block(columns: half..<(2 * half)).matrix.zero()
    }
  }

  /// Begins B and C such that white noise keeps its size: both parts of B have the variance 1 / (2
  /// inputs), those of C 1 / channels.
  public func initializeNormal(using initializer: inout Initializer) {
    for map in input.levels {
      initializer.normal(
        map.weight, deviation: 1 / Float(2 * map.weight.value.columns).squareRoot())
    }
    for map in output.levels {
      initializer.normal(
        map.weight, deviation: 1 / Float(map.weight.value.columns / 2).squareRoot())
    }
  }

  private func states(_ x: Tensor, _ batch: PackedBatch, on pass: Pass) -> Tensor {
    linearRecurrence(
      input(x, on: pass), nuLog: nuLog.value, thetaLog: thetaLog.value, gammaLog: gammaLog.value,
      offsets: batch.offsets, on: pass)
  }
}
