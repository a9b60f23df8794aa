import CElastirec
import Testing

@Suite struct UserABITests {
  private let model = Model(#"{"model": "caser", "items": 5, "users": 3, "dim": 4}"#)

  private func scores(
    users: [Int32]?, _ error: UnsafeMutablePointer<elastirec_error>? = nil
  ) -> (status: elastirec_status, values: [Float]) {
    var values = Array(repeating: Float.nan, count: 10)
    let status = withRows([1, 2, 1, 2], [0, 2, 4], users: users) {
      elastirec_model_score(model.handle, $0, 1, &values, 10, error)
    }
    return (status, values)
  }

  @Test func scoresDependOnWhoseTheHistoriesAre() {
    let (known, unknown) = (scores(users: [2, -1]), scores(users: nil))
    #expect(known.status == ELASTIREC_OK && unknown.status == ELASTIREC_OK)
    #expect(known.values[..<5] != known.values[5...])
    #expect(known.values[5...] == unknown.values[5...])
    #expect(unknown.values[..<5] == unknown.values[5...])
  }

  @Test func peopleWhomTheModelCannotKnowAreNamed() {
    for wrong in [Int32(-2), 3] {
      expectError("histories: user \(wrong) is not in -1 ..< 3") {
        scores(users: [0, wrong], $0).status
      }
    }
  }

  @Test func modelsThatKnowNobodyDoNotLook() {
    let other = Model()
    var values = Array(repeating: Float.nan, count: 5)
    let status = withRows([1], [0, 1], users: [99]) {
      elastirec_model_score(other.handle, $0, 1, &values, 5, nil)
    }
    #expect(status == ELASTIREC_OK)
  }

  @Test func trainingTakesUsersOrTheNumbersOfItsRows() {
    func train(
      _ rows: Int, users: [Int32]?, _ error: UnsafeMutablePointer<elastirec_error>?
    ) -> elastirec_status {
      var trainer: OpaquePointer?
      let items = (0..<(2 * rows)).map { Int32($0 % 5) }
      let offsets = (0...rows).map { Int64(2 * $0) }
      let status = withRows(items, offsets, users: users) {
        elastirec_trainer_create(model.handle, "{}", 2, $0, &trainer, error)
      }
      elastirec_trainer_free(trainer)
      return status
    }
    #expect(train(3, users: nil, nil) == ELASTIREC_OK)
    #expect(train(5, users: [0, 1, 2, -1, 0], nil) == ELASTIREC_OK)
    expectError("the model knows 3 users, and there are histories of 4") {
      train(4, users: nil, $0)
    }
    expectError("histories: user 3 is not in -1 ..< 3") { train(2, users: [0, 3], $0) }
  }
}
