import Kernels
public import VectorLoops

/// Returns activation(x).
public func activate(_ x: Tensor, _ activation: Activation, on pass: Pass) -> Tensor {
  let y = Tensor(like: x)
  loops.activate(x.numbers, activation: activation, scales: nil, into: y.pointer, count: x.count)
  return pass.result(y, of: [x]) { tape in
    { g in
      loops.activateBackward(
        x: x.numbers, dy: g.pointer, activation: activation, scales: nil, into: g.pointer,
        count: g.count)
      tape.add(g, to: x)
    }
  }
}

/// Returns x with a share of its numbers zeroed and the others scaled by 1 / (1 - probability).
public func dropout(_ x: Tensor, probability: Float, on pass: Pass) -> Tensor {
  guard let scales = pass.dropoutScales(rows: x.rows, columns: x.columns, probability: probability)
  else { return x }
  let y = Tensor(like: x)
  loops.multiply(x.numbers, scales.pointer, into: y.pointer, count: x.count)
  return pass.result(y, of: [x]) { tape in
    { g in
      loops.multiply(g.pointer, scales.pointer, into: g.pointer, count: g.count)
      tape.add(g, to: x)
    }
  }
}

/// Returns x + dropout(z).
public func residual(_ x: Tensor, _ z: Tensor, dropout: Float = 0, on pass: Pass) -> Tensor {
  precondition(x.isLike(z), "residual: \(x.shape) does not fit \(z.shape)")
  let scales = pass.dropoutScales(rows: x.rows, columns: x.columns, probability: dropout)
  let y = Tensor(like: x)
  loops.addResidual(
    x.numbers, z.numbers, scales: scales.map { Input($0.pointer) }, into: y.pointer, count: x.count)
  if pass.isInference { return y }
  return pass.result(y, of: [x, z]) { tape in
    { g in
      if tape.wants(z) {
        let dz = Tensor(like: z)
        if let scales {
          loops.multiply(g.pointer, scales.pointer, into: dz.pointer, count: g.count)
        } else {
          loops.scale(g.pointer, alpha: 1, into: dz.pointer, count: g.count)
        }
        tape.add(dz, to: z)
      }
      tape.add(g, to: x)
    }
  }
}

/// Returns x + weight * z with a trained scalar, which lets a deep network start as the identity
/// (Bachlechner et al., "ReZero is all you need", UAI 2021).
///
/// - Shapes: `weight` is `[1]`.
public func residual(_ x: Tensor, _ z: Tensor, weight: Tensor, on pass: Pass) -> Tensor {
  precondition(
    x.isLike(z) && weight.count == 1,
    "residual: \(x.shape) does not fit \(z.shape), weight \(weight.shape)")
  let y = Tensor(like: x)
  y.pointer.update(from: x.numbers, count: x.count)
  loops.accumulate(z.numbers, alpha: weight.pointer[0], into: y.pointer, count: z.count)
  return pass.result(y, of: [x, z, weight]) { tape in
    { g in
      tape.add(to: weight) { place in
        // Row by row in double precision: the terms are many and cancel.
        let product = (0..<g.rows).reduce(0.0) { sum, r in
          let row = r * g.columns
          return sum + Double(loops.dot(g.pointer + row, z.pointer + row, count: g.columns))
        }
        place.pointer[0] += Float(product)
      }
      tape.add(to: z) { place in
        for r in 0..<g.rows {
          loops.accumulate(
            g.pointer + r * g.columns, alpha: weight.pointer[0],
            into: place.pointer + r * place.stride, count: g.columns)
        }
      }
      tape.add(g, to: x)
    }
  }
}

/// Returns x + y.
public func add(_ x: Tensor, _ y: Tensor, on pass: Pass) -> Tensor { residual(x, y, on: pass) }

/// Returns the products of the numbers of x and y.
public func multiply(_ x: Tensor, _ y: Tensor, on pass: Pass) -> Tensor {
  precondition(x.isLike(y), "multiply: \(x.shape) does not fit \(y.shape)")
  let z = Tensor(like: x)
  loops.multiply(x.numbers, y.numbers, into: z.pointer, count: x.count)
  return pass.result(z, of: [x, y]) { tape in
    { g in
      for (input, other) in [(x, y), (y, x)] where tape.wants(input) {
        let d = Tensor(like: g)
        loops.multiply(g.pointer, other.numbers, into: d.pointer, count: g.count)
        tape.add(d, to: input)
      }
    }
  }
}

/// Returns factor * x.
public func scale(_ x: Tensor, by factor: Float, on pass: Pass) -> Tensor {
  let y = Tensor(like: x)
  loops.scale(x.numbers, alpha: factor, into: y.pointer, count: x.count)
  return pass.result(y, of: [x]) { tape in
    { g in
      loops.scale(g.pointer, alpha: factor, into: g.pointer, count: g.count)
      tape.add(g, to: x)
    }
  }
}
