import AerieCore
import Experiments
import Hummingbird

/// Several runs beside each other, in tables and in plots.
extension ConsoleRoutes {
    static var comparedRuns: Int { 50 }

    func registerCompare(on router: Router<some RequestContext>) {
        page(router, "/console/compare") { request, _ throws(AerieError) in
            // The chosen rows' own form names each; a link names all at once.
            let chosen = request.uri.queryParameters.getAll("run")
            let named = chosen.isEmpty ? try query("runs", request).split(separator: ",").map(String.init) : chosen
            return try await comparison(
                named.prefix(Self.comparedRuns).map { RunID($0) }, ChartOptions(request),
                onlyDifferences: request.uri.queryParameters["only"] == "differences")
        }
        page(router, "/console/compare/file") { request, _ throws(AerieError) in
            let named = FormFields.values(request.uri.query, of: "runs").last ?? ""
            let runs = try await services.experiments.runs(named.split(separator: ",").map { RunID(String($0)) })
            guard runs.count == 2 else { throw .invalid("runs", "name two runs that exist, separated by a comma") }
            guard let path = FormFields.values(request.uri.query, of: "path").last else {
                throw .invalid("path", "is missing in the address")
            }
            return try await lines(of: path, in: runs)
        }
        page(router, "/console/experiments/:id/plots") { request, context throws(AerieError) in
            let experiment = try await services.experiments.experiment(ExperimentID(try parameter("id", context)))
            return try await plots(of: experiment, PlotsQuery { FormFields.values(request.uri.query, of: $0) })
        }
    }

    private func lines(of file: String, in runs: [Run]) async throws(AerieError) -> ConsolePage {
        let limit: Int64 = 256 << 10
        var texts: [String?] = []
        var isCut = false
        for run in runs {
            let place = try await place(file, of: run, model: nil)
            let size = try await services.artifacts.entry(place)?.size ?? 0
            isCut = isCut || size > limit
            let bytes = try await beginning(of: place, limit: limit)
            texts.append(ArtifactPreview.text(bytes, isCut: size > limit))
        }
        return ArtifactComparison.page(runs, file: file, texts: texts, isCut: isCut)
    }

    private func plots(of experiment: Experiment, _ query: PlotsQuery) async throws(AerieError) -> ConsolePage {
        var page = PlotsPage(experiment: experiment, query: query, runs: [], isMore: false)
        guard query.runs.isEmpty else {
            page.runs = try await services.experiments.runs(query.runs.map { RunID($0) })
            return page.page()
        }
        do throws(AerieError) {
            let found = try await services.experiments.searchRuns(
                in: [experiment.id], filter: query.filter, limit: PlotsQuery.runLimit)
            page.runs = found.elements
            page.isMore = found.next != nil
        } catch {
            guard error.code == .invalidArgument else { throw error }
            page.problem = error.message
        }
        return page.page()
    }

    /// Files that several places have, in one size, are told apart by what the store kept of their content.
    func addDigests(to listed: inout [RunPage.FileList], at locations: [String]) async {
        var having: [String: [Int64]] = [:]
        for list in listed { for file in list.files { having[file.path, default: []].append(file.size) } }
        for (index, location) in locations.enumerated() {
            guard let root = try? ArtifactPath(location: location) else { continue }
            for file in listed[index].files where having[file.path].map({ $0.count > Set($0).count }) ?? false {
                guard let path = try? root.appending(ArtifactPath(file.path)) else { continue }
                listed[index].digests[file.path] = try? await services.artifacts.digest(path)
            }
        }
    }

    private func comparison(
        _ ids: [RunID], _ options: ChartOptions, onlyDifferences: Bool
    ) async throws(AerieError) -> ConsolePage {
        let runs = try await services.experiments.runs(ids)
        guard runs.count > 1 else { throw .invalid("runs", "name two or more runs that exist, separated by commas") }
        var keys: [String] = []
        for run in runs { for metric in run.metrics where !keys.contains(metric.key) { keys.append(metric.key) } }
        var histories: [(key: String, values: [(run: Run, metrics: [Metric])])] = []
        let perRun = max(60, min(300, 3000 / runs.count))
        for key in keys.prefix(12) {
            let found = try await services.experiments.metricHistory(of: runs.map(\.info.id), key: key, limit: perRun)
            let byRun = Dictionary(grouping: found, by: \.0)
            histories.append((key, runs.map { run in (run, (byRun[run.info.id] ?? []).map(\.1)) }))
        }
        var listed: [RunPage.FileList] = []
        for run in runs { listed.append(await files(at: run.info.artifactURI, limit: 200)) }
        await addDigests(to: &listed, at: runs.map(\.info.artifactURI))
        return ExperimentPages.comparison(
            runs, histories: histories, files: listed, options: options, onlyDifferences: onlyDifferences)
    }
}
