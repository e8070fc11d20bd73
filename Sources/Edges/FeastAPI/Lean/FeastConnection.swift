import AerieCore
import AerieHTTP
import Features
import NIOCore

/// One client's connection to the feature port. What reads online features is answered on the loop; all else goes the
/// general way, as it does on the control port.
final class FeastConnection: HTTPConnection, @unchecked Sendable {
    private let loop: FeastLoop
    private let lookups: ConnectionLookups
    /// Of the answer that is being made.
    fileprivate var plan: FeastPlan?
    fileprivate var showsViews = false
    fileprivate var exchange: HTTPExchange?
    private var isReading = false
    /// The key of a request that had no plan yet.
    private var missed: [UInt8] = []

    init(loop: FeastLoop) {
        self.loop = loop
        lookups = ConnectionLookups()
        super.init(loop: loop)
        lookups.connection = self
    }

    override func answer(_ exchange: HTTPExchange, _ request: UnsafeRawBufferPointer, _ body: Range<Int>) {
        let path = UnsafeRawBufferPointer(rebasing: request[exchange.head.path])
        guard let route = FeastPath(path) else {
            return write(.detail(404, "Not Found"), exchange)
        }
        guard exchange.head.method == (route.isRead ? .get : .post) else {
            return write(.detail(405, "Method Not Allowed"), exchange)
        }
        if equals(route.endpoint, "health") { return write(.empty, exchange) }
        let bytes = UnsafeRawBufferPointer(rebasing: request[body])
        if equals(route.endpoint, "get-online-features"), answerOnline(exchange, bytes, route.namespace) { return }
        answerGenerally(exchange, request, bytes, route)
    }

    override func answer(_ failure: HTTPFailure, _ exchange: HTTPExchange) {
        write(.detail(failure.status, failure.message), exchange)
    }

    // MARK: On the loop

    /// - Returns: false if only the general way answers it.
    private func answerOnline(
        _ exchange: HTTPExchange, _ body: UnsafeRawBufferPointer, _ namespace: UnsafeRawBufferPointer
    ) -> Bool {
        missed = []
        guard let reader = loop.reader, let request = FeastRequest.scan(body) else { return false }
        let count = loop.routes.store.changeCount
        guard let plan = loop.plans.find(request, body, namespace: namespace, changeCount: count) else {
            missed = loop.plans.key
            return false
        }
        guard request.take(body, plan.layout, into: lookups) else { return false }
        self.plan = plan
        self.exchange = exchange
        showsViews = request.showsViews
        isReading = true
        reader.read(lookups)
        isReading = false
        if self.exchange != nil { isBusy = true }
        return true
    }

    /// The store has answered: within `read`, or later.
    fileprivate func finished(_ failure: AerieError?) {
        guard let exchange, let plan else { return }
        self.exchange = nil
        if isReading { return writeOnline(plan, exchange, failure) }
        complete(exchange) { writeOnline(plan, exchange, failure) }
    }

    private func writeOnline(_ plan: FeastPlan, _ exchange: HTTPExchange, _ failure: AerieError?) {
        if let failure, failure.code != .unavailable { return write(FeastRoutes.failure(failure), exchange) }
        let start = loop.out.writerIndex
        let answer = HTTPAnswer.json(
            date: loop.date, keepsAlive: exchange.keepsAlive, isHTTP10: exchange.head.isHTTP10, into: &loop.out)
        let writer = FeastAnswerWriter(
            plan: plan, lookups: lookups, showsViews: showsViews, failure: failure?.message)
        guard writer.write(to: &loop.out, ends: &loop.ends) else {
            loop.out.moveWriterIndex(to: start)
            let error = AerieError(.dataLoss, "a row of the online feature store is not what was written")
            return write(FeastRoutes.failure(error), exchange)
        }
        answer.end(&loop.out)
        if failure == nil { loop.sample(lookups) }
        loop.counters.record(
            lookups, failed: failure != nil, nanoseconds: monotonicNanoseconds() &- exchange.start)
    }

    // MARK: The general way

    private func answerGenerally(
        _ exchange: HTTPExchange, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer, _ route: FeastPath
    ) {
        let query = String(decoding: UnsafeRawBufferPointer(rebasing: request[exchange.head.query]), as: UTF8.self)
        let endpoint = String(decoding: route.endpoint, as: UTF8.self)
        let namespace = String(decoding: route.namespace, as: UTF8.self)
        let bytes = Array(body)
        // What had no plan is planned beside the answer, so that the next one is made on the loop.
        let key = missed
        missed = []
        let (loop, routes) = (loop, loop.routes)
        isBusy = true
        Task {
            let reply = await routes.reply(
                to: endpoint, namespace: namespace, isAsync: query.split(separator: "&").contains("async=true"),
                body: bytes)
            let plan = key.isEmpty || reply.status != 200
                ? nil : await routes.plan(for: bytes, namespace: namespace, key: key)
            loop.eventLoop.execute {
                if let plan { loop.plans.keep(plan) }
                self.complete(exchange) { self.write(reply, exchange) }
            }
        }
    }

    private func write(_ reply: FeastReply, _ exchange: HTTPExchange) {
        let answer = HTTPAnswer(
            reply.status, reply.isJSON ? .json : .none, keepsAlive: exchange.keepsAlive,
            isHTTP10: exchange.head.isHTTP10, date: loop.date, into: &loop.out, fields: { _ in })
        loop.out.writeBytes(reply.body)
        answer.end(&loop.out)
    }
}

/// The rows of a connection's present request.
private final class ConnectionLookups: OnlineLookups {
    weak var connection: FeastConnection?

    override func finished(_ failure: AerieError?) { connection?.finished(failure) }
}

/// `/endpoint` for the namespace `default`, `/feast/{namespace}/endpoint` for any. Slices of the path.
struct FeastPath {
    let endpoint: UnsafeRawBufferPointer
    let namespace: UnsafeRawBufferPointer
    /// Whether it is asked by GET, else by POST.
    let isRead: Bool

    init?(_ path: UnsafeRawBufferPointer) {
        guard path.count > 1, path[0] == UInt8(ascii: "/") else { return nil }
        var rest = UnsafeRawBufferPointer(rebasing: path[1...])
        if rest.count > 6, equals(UnsafeRawBufferPointer(rebasing: rest[..<6]), "feast/") {
            rest = UnsafeRawBufferPointer(rebasing: rest[6...])
            guard let slash = rest.firstIndex(of: UInt8(ascii: "/")), slash > 0 else { return nil }
            namespace = UnsafeRawBufferPointer(rebasing: rest[..<slash])
            rest = UnsafeRawBufferPointer(rebasing: rest[(slash + 1)...])
        } else {
            namespace = Self.defaultNamespace
        }
        endpoint = rest
        if Self.endpoints.contains(where: { equals(rest, $0) }) {
            isRead = false
        } else if equals(rest, "health") {
            isRead = true
        } else {
            guard let call = VectorStoreCall(path: String(decoding: rest, as: UTF8.self)) else { return nil }
            isRead = call.isRead
        }
    }

    private static var defaultNamespace: UnsafeRawBufferPointer {
        let name: StaticString = "default"
        return UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    }

    private static let endpoints: [StaticString] = [
        "get-online-features", "push", "write-to-online-store", "materialize", "materialize-incremental", "search",
        "retrieve-online-documents",
    ]
}
