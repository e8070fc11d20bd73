public import AerieCore
public import AerieGRPC

extension GRPCCall {
    /// Ends the call with the error's status and words.
    public func finish(_ error: AerieError) { finish(status: error.code.grpcStatus, message: error.message) }
}
