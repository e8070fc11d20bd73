import AerieCore
import AerieJSON
import Streaming

/// What is done with the messages of a log.
///
/// Contract: `take` is given messages of one partition in their order, and may be given them again. When it returns,
/// they count, those that are no events or rows are set aside, and how far the partition is has been noted, lastingly.
/// It throws what may be better the next time.
protocol StreamIntake: Sendable {
    func take(_ messages: [EventMessage]) async throws(AerieError)
}

extension EventMessage {
    /// The members of a message in JSON.
    /// - Throws: `invalidArgument` for anything else.
    func object() throws(AerieError) -> JSONObject {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(content, allowsNonFinite: true) } catch {
            throw error.asAerieError(in: "the message")
        }
        guard let object = value.object else { throw .invalid("", "the message is no JSON object") }
        return object
    }

    func deadLetter(_ error: AerieError, at time: Int64) -> DeadLetter {
        DeadLetter(time: time, reason: error.message, origin: "\(partition)@\(offset)", content: content)
    }
}

/// Messages as events of a view's windows.
struct EventIntake: StreamIntake {
    private let reader: StreamEventReader
    private let processor: StreamProcessor
    private let clock: any WallClock

    init(
        _ view: FeatureCatalog.View, _ windows: WindowDefinition, processor: StreamProcessor, clock: any WallClock
    ) {
        reader = StreamEventReader(view, windows)
        self.processor = processor
        self.clock = clock
    }

    func take(_ messages: [EventMessage]) async throws(AerieError) {
        guard let first = messages.first, let last = messages.last else { return }
        let now = clock.now().milliseconds * 1000
        var batch = StreamBatch(
            events: [], source: .init(partition: first.partition, offsets: [], next: last.offset + 1))
        for message in messages {
            do throws(AerieError) {
                let object = try message.object()
                batch.events.append(try reader.event(arrival: message.arrival ?? now, { object[$0] }, place: { $0 }))
                batch.source?.offsets.append(message.offset)
            } catch { batch.deadLetters.append(message.deadLetter(error, at: now)) }
        }
        _ = try await processor.ingest(batch)
    }
}
