import ArgumentParser

@main
struct Aerie: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "aerie",
        abstract: "An ML platform in one binary: experiments, registry, pipelines, features, serving, monitoring.",
        discussion: """
            Start it with `aerie up`, then open the console or point MLflow, a v2 inference client or Prometheus at it.
            """,
        version: version,
        groupedSubcommands: [
            CommandGroup(name: "Server", subcommands: [UpCommand.self, Doctor.self, GCCommand.self, ImportCommand.self]),
            CommandGroup(
                name: "Resources",
                subcommands: [
                    ApplyCommand.self, GetCommand.self, DescribeCommand.self, DeleteCommand.self, DiffCommand.self,
                    WatchCommand.self,
                ]),
            CommandGroup(
                name: "Tracking", subcommands: [ExperimentsCommand.self, RunsCommand.self, ModelsCommand.self]),
            CommandGroup(name: "Features", subcommands: [FeaturesCommand.self]),
            CommandGroup(
                name: "Inference",
                subcommands: [
                    PredictionsCommand.self, ExplainCommand.self, BenchCommand.self, CapacityCommand.self,
                    OptimizeCommand.self,
                ]),
            CommandGroup(
                name: "Pipelines",
                subcommands: [PipelineCommand.self, ApproveCommand.self, RejectCommand.self, StepCommand.self]),
        ])
}
