import AerieCore
import Synchronization
import Testing
import TrainLightGBM
import Training

/// Numbers that are the same on every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

@Suite struct LightGBMTrainerTests {
    let trainer = LightGBMTrainer()

    /// Rows whose label depends on an interaction of two features, with noise, a missing value here and there, a
    /// category and a column that means nothing.
    func rows(_ count: Int, seed: UInt64) -> LabelledRows {
        var random = SeededGenerator(state: seed)
        var values: [Double] = []
        var labels: [Float] = []
        for _ in 0..<count {
            let a = Double.random(in: -1...1, using: &random)
            let b = Double.random(in: -1...1, using: &random)
            let category = Double(Int.random(in: 0..<4, using: &random))
            let noise = Double.random(in: -1...1, using: &random)
            let isMissing = Int.random(in: 0..<20, using: &random) == 0
            values += [a, isMissing ? .nan : b, category, noise]
            let score = a * b + (category == 2 ? 0.3 : 0) + Double.random(in: -0.1...0.1, using: &random)
            labels.append(score > 0.1 ? 1 : 0)
        }
        return LabelledRows(
            featureNames: ["a", "b", "category", "noise"], values: values, labels: labels, categoricalFeatures: [2])
    }

    func options(
        _ parameters: [(name: String, value: String)] = [("objective", "binary"), ("metric", "auc,binary_logloss")],
        rounds: Int = 60, early: Int = 0
    ) -> BoosterOptions {
        BoosterOptions(parameters: parameters, rounds: rounds, earlyStoppingRounds: early, seed: 7)
    }

    @Test("Training learns, tells each round, and finds the features that matter")
    func learns() throws {
        let rounds = Mutex<[Int]>([])
        let booster = try trainer.train(
            rows(4000, seed: 1), validation: rows(1000, seed: 2), options: options()
        ) { round in
            rounds.withLock { $0.append(round.round) }
            return true
        }
        #expect(rounds.withLock { $0 } == Array(1...60))
        #expect(booster.bestRound == 60)
        #expect(booster.history.count == 60)
        let last = try #require(booster.history.last)
        #expect(last.metrics.map(\.name) == ["auc", "binary_logloss"])
        #expect(last.metrics[0].value > 0.95)
        #expect(booster.modelText.hasPrefix("tree\n"))
        #expect(booster.featureGain.count == 4)
        #expect(booster.featureGain[0] > booster.featureGain[3] * 5)
        #expect(booster.modelText.contains("feature_names=a b category noise"))
    }

    @Test("The same rows, options and seed give the same text twice; another seed gives another where chance decides")
    func reproducible() throws {
        let sampled = options([("objective", "binary"), ("bagging_fraction", "0.6"), ("bagging_freq", "1")], rounds: 20)
        let first = try trainer.train(rows(3000, seed: 3), validation: nil, options: sampled) { _ in true }
        let second = try trainer.train(rows(3000, seed: 3), validation: nil, options: sampled) { _ in true }
        #expect(first.modelText == second.modelText)
        var other = sampled
        other.seed = 8
        let third = try trainer.train(rows(3000, seed: 3), validation: nil, options: other) { _ in true }
        #expect(first.modelText != third.modelText)
    }

    @Test(
        "Early stopping keeps the best round of a falling and of a rising metric", arguments: ["binary_logloss", "auc"])
    func earlyStopping(_ metric: String) throws {
        let parameters = [
            ("objective", "binary"), ("metric", metric), ("learning_rate", "0.5"), ("min_data_in_leaf", "2"),
        ]
        let booster = try trainer.train(
            rows(500, seed: 4), validation: rows(500, seed: 5),
            options: options(parameters.map { (name: $0, value: $1) }, rounds: 500, early: 10)
        ) { _ in true }
        let values = booster.history.map { $0.metrics[0].value }
        let best = try #require(metric == "auc" ? values.max() : values.min())
        #expect(booster.history.count < 500)
        #expect(booster.history.count == booster.bestRound + 10)
        #expect(values[booster.bestRound - 1] == best)
        #expect(booster.modelText.split(separator: "\n").count { $0.hasPrefix("Tree=") } == booster.bestRound)
    }

    @Test("A model in text form predicts what it predicted, as probabilities, row by row as at once")
    func predicts() throws {
        let test = rows(200, seed: 6)
        let booster = try trainer.train(rows(2000, seed: 1), validation: nil, options: options()) { _ in true }
        let together = try trainer.predict(modelText: booster.modelText, values: test.values, featureCount: 4)
        #expect(together.count == 200)
        #expect(together.allSatisfy { $0 > 0 && $0 < 1 })
        for row in 0..<20 {
            let one = try trainer.predict(
                modelText: booster.modelText, values: Array(test.values[row * 4..<row * 4 + 4]), featureCount: 4)
            #expect(one == [together[row]])
        }
        let right = zip(together, test.labels).filter { ($0 > 0.5) == ($1 == 1) }.count
        #expect(right > 170)
        #expect(try trainer.predict(modelText: booster.modelText, values: [], featureCount: 4).isEmpty)
    }

    @Test("Several classes have one output each, and weights move the model")
    func classesAndWeights() throws {
        var data = rows(1500, seed: 9)
        for row in 0..<data.rowCount {
            data.labels[row] = Float(data.values[row * 4 + 2].truncatingRemainder(dividingBy: 3))
        }
        let parameters = [("objective", "multiclass"), ("num_class", "3")].map { (name: $0, value: $1) }
        let plain = try trainer.train(data, validation: nil, options: options(parameters, rounds: 10)) { _ in true }
        let outputs = try trainer.predict(modelText: plain.modelText, values: data.values, featureCount: 4)
        #expect(outputs.count == data.rowCount * 3)
        #expect(abs(outputs[0] + outputs[1] + outputs[2] - 1) < 1e-12)
        data.weights = (0..<data.rowCount).map { $0 % 2 == 0 ? 1 : 0.1 }
        let weighted = try trainer.train(data, validation: nil, options: options(parameters, rounds: 10)) { _ in true }
        #expect(weighted.modelText != plain.modelText)
    }

    @Test("Stopping from the outside is an error of its own")
    func cancelled() throws {
        let error = #expect(throws: AerieError.self) {
            try trainer.train(rows(500, seed: 1), validation: nil, options: options()) { $0.round < 3 }
        }
        #expect(error?.code == .cancelled)
    }

    @Test(
        "A wrong parameter is told by its name",
        arguments: [
            ("objectiv", "binary", "no such parameter"), ("n_estimators", "5", "rounds"),
            ("random_state", "5", "seed"), ("early_stopping_rounds", "5", "earlyStoppingRounds"),
            ("input_model", "/etc/passwd", "may not be set"), ("machines", "a:1", "may not be set"),
            ("learning_rate", "0.1 task=predict", "white space"), ("learning_rate", "fast", "learning_rate"),
            ("learning_rate", "-1", "learning_rate"), ("objective", "telepathy", "telepathy"),
        ])
    func wrongParameters(_ name: String, _ value: String, _ words: String) {
        let error = #expect(throws: AerieError.self) {
            try trainer.train(rows(100, seed: 1), validation: nil, options: options([(name, value)])) { _ in true }
        }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }

    @Test("Wrong rows are told before the library sees them")
    func wrongRows() {
        var short = rows(10, seed: 1)
        short.values.removeLast()
        var unlabelled = rows(10, seed: 1)
        unlabelled.labels[3] = .nan
        var weights = rows(10, seed: 1)
        weights.weights = [1]
        var category = rows(10, seed: 1)
        category.categoricalFeatures = [4]
        let empty = LabelledRows(featureNames: ["a"], values: [], labels: [])
        for (data, words) in [
            (short, "39 values"), (unlabelled, "row 3"), (weights, "1 weights"), (category, "feature 4"),
            (empty, "no rows"),
        ] {
            let error = #expect(throws: AerieError.self) {
                try trainer.train(data, validation: nil, options: options()) { _ in true }
            }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        }
        let early = #expect(throws: AerieError.self) {
            try trainer.train(rows(10, seed: 1), validation: nil, options: options(early: 5)) { _ in true }
        }
        #expect(early?.message.contains("validation rows") == true)
    }

    @Test("A text that is no model, or is for other columns, is told")
    func wrongModel() throws {
        for text in ["", "no model", "tree\n", "tree\nversion=v4\nnum_class=1\n"] {
            let error = #expect(throws: AerieError.self) {
                try trainer.predict(modelText: text, values: [1], featureCount: 1)
            }
            #expect(error?.code == .invalidArgument)
        }
        let booster = try trainer.train(rows(200, seed: 1), validation: nil, options: options(rounds: 2)) { _ in true }
        let error = #expect(throws: AerieError.self) {
            try trainer.predict(modelText: booster.modelText, values: [1, 2, 3], featureCount: 3)
        }
        #expect(error?.message.contains("4 features, not 3") == true)
    }

    @Test("A missing library is told with what it costs and the command that installs it")
    func missingLibrary() {
        let error = #expect(throws: AerieError.self) {
            try LightGBMTrainer(nativeFolder: "/nonexistent").predict(modelText: "", values: [], featureCount: 1)
        }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("scripts/bootstrap") == true)
    }
}
