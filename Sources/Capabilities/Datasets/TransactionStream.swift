/// A stream of card transactions for demonstrations and tests: made up, seeded, and the same on every machine.
///
/// What makes a transaction a fraud is a combination of features, never one alone: a burst of small payments is
/// card testing only on a device that is not trusted, and travel is harmless until the place does not match. Each
/// of the single signs is therefore common among honest transactions, which holds a linear model clearly below.
/// `velocityLast24h` is the number of the user's earlier transactions in the 24 hours up to and including the same
/// second of the day before, and can be recomputed exactly from `userID` and `eventTime`.
public struct TransactionStream: Sendable {
    public struct Options: Sendable, Hashable {
        /// From 1 to 5,000,000.
        public var rows: Int
        public var seed: UInt64
        public var users: Int
        public var days: Int

        public init(rows: Int = 10_000, seed: UInt64 = 7, users: Int = 600, days: Int = 45) {
            self.rows = min(max(rows, 1), 5_000_000)
            self.seed = seed
            self.users = min(max(users, 1), 1_000_000)
            self.days = min(max(days, 1), 3650)
        }
    }

    public let options: Options
    public init(_ options: Options = Options()) { self.options = options }

    static let categories = ["Grocery", "Electronics", "Travel", "Food", "Clothing"]

    /// 2026-01-01T00:00:00Z, in seconds since 1970.
    static let start: Int64 = 1_767_225_600

    /// All transactions in the order of their time. About 1 µs a row.
    public func generate() -> [Transaction] {
        var random = SeededGenerator(seed: options.seed)
        let users = (0..<options.users).map { _ in CardUser(&random) }
        var events: [Transaction] = []
        events.reserveCapacity(options.rows + 16)
        while events.count < options.rows * 6 / 100 { appendTakeover(to: &events, users, &random) }
        while events.count < options.rows * 25 / 100 { appendSpree(to: &events, users, &random) }
        while events.count < options.rows { appendOrdinary(to: &events, users, &random) }
        events.removeLast(events.count - options.rows)
        order(&events)
        measureVelocity(&events)
        label(&events, &random)
        return events
    }

    // MARK: What happens

    /// Somebody else has the card: a quick series of small payments that test it, then a few large ones.
    private func appendTakeover(to events: inout [Transaction], _ users: [CardUser], _ random: inout SeededGenerator) {
        let user = random.below(users.count)
        var time = moment(day: random.below(options.days), hour: random.integer(0, 23), &random)
        let isAbroad = random.chance(0.4)
        for position in 0..<random.integer(8, 14) {
            let isTest = position < 8 && !random.chance(0.15)
            let amount = isTest ? random.uniform(0.5, 12) : random.uniform(320, 1400)
            events.append(
                Transaction(
                    userID: user, time: time, cents: Int((amount * 100).rounded()),
                    category: isTest ? random.below(5) : random.integer(1, 2), isForeign: isAbroad,
                    isMismatch: random.chance(0.5), trust: Int(random.uniform(4, 34)), age: users[user].age))
            time += Int64(random.integer(40, 900))
        }
    }

    /// The owner shops: as many payments as in a takeover, small or large, on a device that is known.
    private func appendSpree(to events: inout [Transaction], _ users: [CardUser], _ random: inout SeededGenerator) {
        let user = random.below(users.count)
        var time = moment(day: random.below(options.days), hour: random.integer(7, 21), &random)
        let isAbroad = random.chance(0.35)
        let isUntrusted = random.chance(0.5)
        for _ in 0..<random.integer(6, 12) {
            let trust = isUntrusted ? random.uniform(5, 36) : random.uniform(48, 99)
            // On a device without trust the owner pays middling amounts, neither a test nor a cash-out.
            let isSmall = random.chance(0.5)
            let amount =
                isUntrusted
                ? random.uniform(30, 210)
                : isSmall ? random.uniform(0.8, 18) : random.uniform(150, 1300)
            events.append(
                Transaction(
                    userID: user, time: time, cents: Int((amount * 100).rounded()), category: random.below(5),
                    isForeign: isAbroad, isMismatch: isAbroad && random.chance(0.6), trust: Int(trust),
                    age: users[user].age))
            time += Int64(random.integer(60, 1500))
        }
    }

    private func appendOrdinary(to events: inout [Transaction], _ users: [CardUser], _ random: inout SeededGenerator) {
        let index = random.below(users.count)
        let user = users[index]
        let hour = user.isNightOwl && random.chance(0.5) ? random.integer(0, 4) : random.integer(6, 23)
        let isAbroad = random.chance(user.travels ? 0.35 : 0.03)
        let wantsTrust = user.hasOldDevice ? random.uniform(6, 40) : random.uniform(45, 99)
        var amount = random.logNormal(mean: user.logAmount, deviation: 0.9)
        if random.chance(0.04) { amount = random.uniform(350, 1500) }
        // Some frauds come alone: abroad, in the wrong place, on a strange device, for electronics or travel.
        let isLoneFraud = random.chance(0.009)
        let isMismatch = isLoneFraud || random.chance(isAbroad ? 0.4 : 0.05)
        events.append(
            Transaction(
                userID: index, time: moment(day: random.below(options.days), hour: hour, &random),
                cents: max(50, Int((amount * 100).rounded())),
                category: isLoneFraud ? random.integer(1, 2) : random.below(5), isForeign: isLoneFraud || isAbroad,
                isMismatch: isMismatch, trust: Int(isLoneFraud ? random.uniform(4, 34) : wantsTrust), age: user.age))
    }

    private func moment(day: Int, hour: Int, _ random: inout SeededGenerator) -> Int64 {
        Self.start + Int64(day) * 86_400 + Int64(hour) * 3600 + Int64(random.below(3600))
    }

    // MARK: What follows from it

    /// By time; two transactions of a user never share a second, so that "earlier" has one meaning.
    private func order(_ events: inout [Transaction]) {
        func sort() {
            events.sort { ($0.time, $0.userID, $0.cents, $0.trust) < ($1.time, $1.userID, $1.cents, $1.trust) }
        }
        sort()
        var last = [Int64](repeating: .min, count: options.users)
        for index in events.indices {
            let user = events[index].userID
            if events[index].time <= last[user] { events[index].time = last[user] + 1 }
            last[user] = events[index].time
        }
        sort()
        for index in events.indices { events[index].id = index + 1 }
    }

    private func measureVelocity(_ events: inout [Transaction]) {
        var recent = [[Int64]](repeating: [], count: options.users)
        var first = [Int](repeating: 0, count: options.users)
        for index in events.indices {
            let (user, time) = (events[index].userID, events[index].time)
            while first[user] < recent[user].count, recent[user][first[user]] < time - 86_400 { first[user] += 1 }
            events[index].velocity = recent[user].count - first[user]
            recent[user].append(time)
        }
    }

    /// The hidden rule, then a little noise: 2 % of the frauds are never noticed, 0.06 % of the rest are disputed.
    private func label(_ events: inout [Transaction], _ random: inout SeededGenerator) {
        for index in events.indices {
            let event = events[index]
            let isStrange = event.trust < 40
            let isTest = isStrange && event.velocity >= 3 && event.cents < 2000
            let isCashOut = isStrange && event.velocity >= 3 && event.cents > 25_000
            let isAwayFromHome = isStrange && event.isForeign && event.isMismatch && (1...2).contains(event.category)
            let isFraud = isTest || isCashOut || isAwayFromHome
            events[index].isFraud = isFraud ? !random.chance(0.02) : random.chance(0.0006)
        }
    }
}

/// One payment by card.
public struct Transaction: Sendable, Hashable {
    /// From 1, in the order of time.
    public var id = 0
    public var userID: Int
    /// Seconds since 1970-01-01T00:00:00Z.
    public var time: Int64
    public var cents: Int
    var category: Int
    public var isForeign: Bool
    public var isMismatch: Bool
    /// From 0 to 99.
    public var trust: Int
    public var age: Int
    public var velocity = 0
    public var isFraud = false

    public var merchantCategory: String { TransactionStream.categories[category] }
    /// In UTC.
    public var hour: Int { Int(time % 86_400 / 3600) }

    init(
        userID: Int, time: Int64, cents: Int, category: Int, isForeign: Bool, isMismatch: Bool, trust: Int, age: Int
    ) {
        self.userID = userID
        self.time = time
        self.cents = cents
        self.category = category
        self.isForeign = isForeign
        self.isMismatch = isMismatch
        self.trust = trust
        self.age = age
    }
}

/// The owner of a card, and how this person usually pays.
private struct CardUser {
    let age: Int
    let logAmount: Double
    let travels: Bool
    let hasOldDevice: Bool
    let isNightOwl: Bool

    init(_ random: inout SeededGenerator) {
        age = random.integer(18, 85)
        logAmount = 3.2 + 0.5 * random.normal()
        travels = random.chance(0.2)
        hasOldDevice = random.chance(0.35)
        isNightOwl = random.chance(0.15)
    }
}
