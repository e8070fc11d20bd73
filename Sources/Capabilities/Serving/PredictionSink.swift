/// Takes what was predicted, off the data plane.
public protocol PredictionSink: Sendable {
    /// Called on an event loop now and then, with many predictions at once: must not block.
    /// - Returns: false if there is no room; the block is lost then, and the sink counts it.
    func accept(_ block: PredictionBlock) -> Bool
}

/// Predictions as they were made, with their rows and results in one run of bytes: what a loop hands over, so that a
/// prediction costs it two copies.
public struct PredictionBlock: Sendable {
    /// One request's rows.
    public struct Entry: Sendable {
        public var deployment: String
        public var namespace: String
        public var predictor: ServedPredictor
        /// The predictor's place in its deployment.
        public var index: Int
        /// Microseconds since 1970.
        public var time: Int64
        public var rows: Int
        /// Elements of the model's row type and of the first output's type, row-major, as ranges of the bytes.
        public var input: Range<Int>
        public var output: Range<Int>
        /// The request's own id, UTF-8; empty if it has none.
        public var id: Range<Int>
        /// Set instead of rows in bytes for what came as a message, or went through a graph.
        public var exchange: PredictionExchange?
    }

    public var entries: [Entry] = []
    public var bytes: [UInt8] = []
    /// Bytes of the entries' messages.
    public private(set) var exchangeBytes = 0
    /// What the block holds in memory, about.
    public var byteCount: Int { bytes.count + exchangeBytes }

    public init() {}

    public mutating func append(
        deployment: String, namespace: String, predictor: ServedPredictor, index: Int = 0, time: Int64,
        rows: Int, input: UnsafeRawBufferPointer, output: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer
    ) {
        let start = bytes.count
        bytes.append(contentsOf: input)
        bytes.append(contentsOf: output)
        bytes.append(contentsOf: id)
        let (middle, end) = (start + input.count, start + input.count + output.count)
        entries.append(
            Entry(
                deployment: deployment, namespace: namespace, predictor: predictor, index: index, time: time,
                rows: rows, input: start..<middle, output: middle..<end, id: end..<bytes.count))
    }

    public mutating func append(
        deployment: String, namespace: String, predictor: ServedPredictor, index: Int, time: Int64,
        exchange: PredictionExchange
    ) {
        let none = bytes.count..<bytes.count
        exchangeBytes += exchange.byteCount
        entries.append(
            Entry(
                deployment: deployment, namespace: namespace, predictor: predictor, index: index, time: time, rows: 0,
                input: none, output: none, id: none, exchange: exchange))
    }
}
