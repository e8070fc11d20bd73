/// One connection of a load, on its engine's event loop.
protocol LoadConnection: AnyObject {
    /// Requests that it would take now.
    var room: Int { get }
    /// Requests that wait for their answer.
    var waiting: Int { get }
    /// Writes one request without flushing; only with `room`.
    /// - Parameters:
    ///   - index: which of the payload's requests.
    ///   - due: when it was due, on the monotonic clock; given back with the answer.
    func send(_ index: Int, due: UInt64)
    func flush()
    func close()
}
