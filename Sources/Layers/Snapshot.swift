public import Autograd

/// A copy of some tensors, which puts them back to the bit, as searches of second order need it.
public struct Snapshot {
  private let tensors: [Tensor]
  private let copies: [[Float]]

  public init(of tensors: [Tensor]) {
    self.tensors = tensors
    copies = tensors.map(\.values)
  }

  public init(of parameters: [NamedParameter]) { self.init(of: parameters.map(\.value)) }

  public func restore() {
    for (tensor, copy) in zip(tensors, copies) {
      copy.withUnsafeBufferPointer { source in
        guard let start = source.baseAddress else { return }
        for r in 0..<tensor.rows {
          (tensor.pointer + r * tensor.matrix.stride).update(
            from: start + r * tensor.columns, count: tensor.columns)
        }
      }
    }
  }
}
