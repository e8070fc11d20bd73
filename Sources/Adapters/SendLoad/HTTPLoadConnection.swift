import AerieCore
import Load
import NIOCore

/// Requests over HTTP/1.1, as many at once as the plan's pipelining says; answers come in the requests' order.
final class HTTPLoadConnection: ChannelInboundHandler, LoadConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let engine: LoadEngine
    private let requests: [ByteBuffer]
    private var context: ChannelHandlerContext?
    private var reader = HTTPAnswerReader()
    private var pending = ByteBuffer()
    private var dues: DueTimes
    private var isDirty = false

    init(engine: LoadEngine, requests: [ByteBuffer], inFlight: Int) {
        self.engine = engine
        self.requests = requests
        dues = DueTimes(capacity: inFlight)
    }

    var room: Int { context == nil || reader.closes ? 0 : dues.capacity - dues.count }
    var waiting: Int { dues.count }

    func send(_ index: Int, due: UInt64) {
        guard let context else { return }
        dues.append(due)
        context.write(wrapOutboundOut(requests[index]), promise: nil)
        isDirty = true
    }

    func flush() {
        guard isDirty else { return }
        isDirty = false
        context?.flush()
    }

    func close() { context?.close(promise: nil) }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        engine.opened(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if pending.readableBytes > 0 {
            pending.writeBuffer(&buffer)
            swap(&buffer, &pending)
            pending.clear()
        }
        do throws(AerieError) {
            let used = try buffer.withUnsafeReadableBytes { bytes throws(AerieError) in
                try reader.read(bytes) { status in
                    guard let due = dues.removeFirst() else { return }
                    engine.answered(due: due, status: status)
                }
            }
            buffer.moveReaderIndex(forwardBy: used)
        } catch {
            engine.note(error)
            return context.close(promise: nil)
        }
        if buffer.readableBytes > 0 { pending.writeBuffer(&buffer) }
        engine.pump()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        while let due = dues.removeFirst() { engine.answered(due: due, status: LoadResult.broken) }
        engine.closed(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// A queue of moments in a ring of fixed size.
struct DueTimes {
    private var ring: [UInt64]
    private var head = 0
    private(set) var count = 0
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        ring = Array(repeating: 0, count: capacity)
    }

    /// - Precondition: there is room.
    mutating func append(_ due: UInt64) {
        precondition(count < capacity, "more requests than a connection takes")
        var at = head + count
        if at >= capacity { at -= capacity }
        ring[at] = due
        count += 1
    }

    mutating func removeFirst() -> UInt64? {
        guard count > 0 else { return nil }
        let due = ring[head]
        head = head + 1 == capacity ? 0 : head + 1
        count -= 1
        return due
    }
}
