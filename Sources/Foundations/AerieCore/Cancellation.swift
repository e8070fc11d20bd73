/// Does `body` to its end though the task is cancelled meanwhile, or has been: for what a server still sends when it
/// stops.
///
/// Costs a task of its own; `body` itself sees no cancellation, so it must end by a limit of its own.
public func toItsEnd(
    _ body: @escaping @Sendable () async throws(AerieError) -> Void
) async throws(AerieError) {
    let end = await Task { () -> Result<Void, AerieError> in
        do throws(AerieError) { return .success(try await body()) } catch { return .failure(error) }
    }.value
    try end.get()
}
