public import AerieCore
public import Experiments

/// What can be deleted for good, in the order in which it goes: what belongs to something goes before it.
public enum PurgeKind: String, Hashable, Sendable, CaseIterable {
    case run
    case loggedModel = "logged_model"
    case trace, experiment
}

/// What is to be deleted for good.
public struct PurgeSelection: Hashable, Sendable {
    /// Only what was deleted before this.
    public var deletedBefore: Timestamp
    /// Only these experiments and what is in them; empty for all.
    public var experiments: [ExperimentID]
    /// Only these runs, and nothing but runs; empty for all.
    public var runs: [RunID]

    public init(deletedBefore: Timestamp, experiments: [ExperimentID] = [], runs: [RunID] = []) {
        self.deletedBefore = deletedBefore
        self.experiments = experiments
        self.runs = runs
    }
}

/// One thing that was deleted before the selection's time.
public struct PurgeCandidate: Hashable, Sendable {
    public var kind: PurgeKind
    public var id: String
    /// Counts up with the things of its kind; where the next page begins.
    public var sequence: Int64
    public var experiment: ExperimentID
    public var name: String
    /// Where its files are; empty for a trace, whose files lie in its experiment's folder.
    public var location: String
    /// When it, or the experiment that it went with, was deleted; an experiment's last change while it is deleted.
    public var deletedTime: Timestamp

    public init(
        kind: PurgeKind, id: String, sequence: Int64, experiment: ExperimentID, name: String, location: String,
        deletedTime: Timestamp
    ) {
        self.kind = kind
        self.id = id
        self.sequence = sequence
        self.experiment = experiment
        self.name = name
        self.location = location
        self.deletedTime = deletedTime
    }
}

/// Files of something that is gone from the metadata.
public struct OrphanedFiles: Hashable, Sendable {
    /// Its place in the store's list.
    public var sequence: Int64
    public var kind: PurgeKind
    /// Whose they were.
    public var owner: String
    public var location: String
    public init(sequence: Int64, kind: PurgeKind, owner: String, location: String) {
        self.sequence = sequence
        self.kind = kind
        self.owner = owner
        self.location = location
    }
}

/// Finds and removes what was deleted, and remembers whose files are yet to go.
///
/// Contract: each call is atomic and durable when it returns. Experiment 0 is never a candidate, nor does anything
/// become one because of it. A logged model or a trace is a candidate also if its experiment was deleted before the
/// time, a run by its own deletion alone.
public protocol PurgeStore: Sendable {
    /// A page of candidates in the order of their sequence.
    /// - Parameter after: the last one's sequence; 0 for the first page.
    func candidates(
        _ kind: PurgeKind, _ selection: PurgeSelection, after: Int64, limit: Int
    ) async throws(AerieError) -> [PurgeCandidate]
    /// Removes the rows of candidates of one kind, with all that hangs on them, and lists their files as orphaned, in
    /// one step. One that is no candidate any more (as it was restored), and an experiment that still has runs, logged
    /// models or traces, stays as it is.
    /// - Parameter candidates: at most 500.
    /// - Returns: the identifiers of those removed.
    func purge(
        _ kind: PurgeKind, _ candidates: [PurgeCandidate], _ selection: PurgeSelection, at time: Timestamp
    ) async throws(AerieError) -> Set<String>
    /// A page of the files that are yet to go, of this and of earlier calls of `purge`.
    func orphanedFiles(after: Int64, limit: Int) async throws(AerieError) -> [OrphanedFiles]
    /// Takes files off the list.
    func forget(_ sequences: [Int64]) async throws(AerieError)
    /// Who refers to files, by their location. A registered version does if its place is, holds or lies in theirs; so
    /// does what is still in the metadata, deleted or not, if its place is or lies in theirs: an experiment, for an
    /// experiment's files a run or a logged model, and for a run's files a logged model that it made. An experiment's
    /// files cost a pass over all runs. Locations are compared as text.
    /// - Parameters:
    ///   - files: at most 500.
    ///   - onlyVersions: looks for versions alone, as in a dry run, before which nothing is gone.
    func holders(of files: [OrphanedFiles], onlyVersions: Bool) async throws(AerieError) -> [String: String]
}
