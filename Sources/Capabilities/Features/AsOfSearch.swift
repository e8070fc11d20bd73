import AerieArrow
import AerieCore
import Datasets

/// For each question, which is an entity and a time, the newest row at or before that time, found while the rows pass
/// by once, in any order.
///
/// A row is an answer to the first question of its entity that is not before it, which is searched for among the times
/// of that entity; each question keeps the newest row that it was so given. At the end the answer of a question is the
/// newest of what it and the earlier ones of its entity keep. Nothing of the rows is sorted or held: memory is 40 bytes
/// a question and 8 an entity, and a row costs the logarithm of its entity's questions.
struct AsOfSearch {
    /// A row, as far as it is compared: by its time, then by when it was created, then by its place in the source.
    private struct Row {
        var time = Int64.min
        /// The least number where it is not known.
        var created = Int64.min
        /// Negative where there is no row.
        var position: Int64 = -1

        func isNewer(than other: Row) -> Bool {
            (time, created, position) > (other.time, other.created, other.position)
        }
    }

    /// How old a row may be, in microseconds; `nil` without limit.
    private let timeToLive: Int64?
    /// The questions' times: those of an entity together and in order, entities in the order of their numbers.
    private var times: [Int64] = []
    /// The entity rows that ask.
    private var places: [Int64] = []
    /// By an entity's number its first question, and one more, which is the end.
    private var starts: [Int] = []
    /// By question the newest of the rows that are an answer to no earlier one.
    private var kept: [Row] = []
    private var told = (entity: 0, question: 0, newest: Row())

    init(timeToLive: Int64?) { self.timeToLive = timeToLive }

    /// Adds questions: columns of the entity's number, from 0 on, the time and the entity row, in the order of the
    /// first two.
    mutating func ask(_ rows: LentRows) throws(AerieError) {
        let columns = rows.columns.map(\.values)
        for row in 0..<rows.count {
            let (entity, time) = (Int(columns[0][row]), columns[1][row])
            let isBack = entity + 1 == starts.count ? time < times[times.count - 1] : entity < starts.count
            if isBack { throw AerieError(.internal, "the questions of a point-in-time join came out of order") }
            while starts.count <= entity { starts.append(times.count) }
            times.append(time)
            places.append(columns[2][row])
        }
    }

    /// Ends the questions.
    mutating func begin() {
        starts.append(times.count)
        kept = Array(repeating: Row(), count: times.count)
    }

    /// Lets rows pass by: columns of the entity's number, the time, the place in the source, and, if there is a fourth,
    /// when it was created, which may be null. Rows of entities that nobody asked for are passed over.
    mutating func offer(_ rows: LentRows) {
        let (entities, times, positions) = (rows.columns[0].values, rows.columns[1].values, rows.columns[2].values)
        let created = rows.columns.count > 3 ? rows.columns[3] : nil
        for row in 0..<rows.count {
            let entity = Int(entities[row])
            guard entity >= 0, entity + 1 < starts.count else { continue }
            var one = Row(time: times[row], position: positions[row])
            if let created, created.validity.map({ $0[row >> 6] >> UInt64(row & 63) & 1 == 1 }) ?? true {
                one.created = created.values[row]
            }
            let question = firstQuestion(of: entity, from: one.time)
            if question < starts[entity + 1], one.isNewer(than: kept[question]) { kept[question] = one }
        }
    }

    private func firstQuestion(of entity: Int, from time: Int64) -> Int {
        var (first, count) = (starts[entity], starts[entity + 1] - starts[entity])
        while count > 0 {
            let half = count / 2
            let isBefore = times[first + half] < time
            first += isBefore ? half + 1 : 0
            count = isBefore ? count - half - 1 : half
        }
        return first
    }

    static let answerSchema = ArrowSchema(
        fields: [PointInTimeJoin.row, "id", "p"].map { ArrowField(name: $0, format: "l", isNullable: false) })

    /// The next answers: the entity row, the entity's number and the row's place in the source. Questions without an
    /// answer are left out.
    /// - Returns: `nil` after the last.
    mutating func answers(atMost limit: Int) -> ArrowBatch? {
        var columns: [[Int64]] = [[], [], []]
        while told.question < times.count, columns[0].count < limit {
            while starts[told.entity + 1] == told.question {
                told.entity += 1
                told.newest = Row()
            }
            if kept[told.question].isNewer(than: told.newest) { told.newest = kept[told.question] }
            if counts(told.newest, at: times[told.question]) {
                columns[0].append(places[told.question])
                columns[1].append(Int64(told.entity))
                columns[2].append(told.newest.position)
            }
            told.question += 1
        }
        guard let length = columns.first?.count, length > 0 else { return nil }
        var batch = ArrowBatch(length: length)
        for column in columns {
            batch.nodes.append(.init(length: length, nullCount: 0))
            batch.append(UnsafeRawBufferPointer(start: nil, count: 0))
            column.withUnsafeBytes { batch.append($0) }
        }
        return batch
    }

    private func counts(_ row: Row, at time: Int64) -> Bool {
        guard row.position >= 0, let timeToLive else { return row.position >= 0 }
        let (age, isBeyond) = time.subtractingReportingOverflow(row.time)
        return !isBeyond && age <= timeToLive
    }
}
