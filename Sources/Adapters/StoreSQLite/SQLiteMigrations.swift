extension MetadataDatabase {
    /// The steps of every store of this target, in the order in which they came to be: the database of an earlier
    /// version has had the first so many. New steps go to the end.
    public static let migrations: [Migration] = {
        let steps =
            SQLiteExperimentStore.migrations + SQLiteRegistryStore.migrations + SQLiteResourceStore.migrations
            + SQLitePipelineRunStore.migrations + SQLiteWebhookStore.migrations + SQLitePurgeStore.migrations
            + SQLiteDefinitionDocumentStore.migrations + SQLiteBanditStore.migrations
        precondition(
            Set(steps.map(\.name)) == Set(history) && steps.count == history.count,
            "a migration is not in the history, or stands there and is gone")
        return steps.sorted { history.firstIndex(of: $0.name)! < history.firstIndex(of: $1.name)! }
    }()

    private static let history = [
        "experiments.1", "registry.1", "resources-1", "pipelines.1", "pipelines.2", "traces.1", "experiments.2",
        "webhooks.1", "retention.1", "registry.2", "traces.2", "traces.3", "definition_documents.1",
        "bandits.1",
    ]
}
