import AerieCore
import AerieJSON
import Experiments
import HTTPTypes

/// What traces amount to: numbers of groups of them, and how conditions go together.
extension Endpoint {
    static let traceMetrics: [Endpoint] = [
        Endpoint(.post, "/mlflow/traces/metrics") { routes, call throws(AerieError) in
            let query = try call.fields.traceMetricQuery()
            let points = try await routes.traces.metrics(query)
            var body = JSONObject()
            body.add("data_points", points.map { $0.mlflow(query) })
            return body
        },
        Endpoint(.post, "/mlflow/traces/calculate-filter-correlation") { routes, call throws(AerieError) in
            let fields = call.fields
            let experiments = try fields.experimentIDs()
            guard !experiments.isEmpty else { throw fields.missing("experiment_ids") }
            let found = try await routes.traces.correlation(
                in: experiments, try fields.required("filter_string1"), try fields.required("filter_string2"),
                base: try fields.string("base_filter"))
            return found.mlflow
        },
    ]
}

extension Fields {
    fileprivate func traceMetricQuery() throws(AerieError) -> TraceMetricQuery {
        let experiments = try experimentIDs()
        guard !experiments.isEmpty else { throw missing("experiment_ids") }
        guard let view = try word("view_type", TraceMeasure.View.self) else { throw missing("view_type") }
        let name = try required("metric_name")
        let offered = TraceMeasure.all.filter { $0.view == view }
        guard let measure = offered.first(where: { $0.name == name }) else {
            let names = offered.map(\.name).joined(separator: ", ")
            throw .invalid("metric_name", "\"\(name.prefix(60))\" is not measured of \(view.rawValue); offered are \(names)")
        }
        var aggregations: [TraceAggregation] = []
        for given in try objects("aggregations") {
            guard let kind = try given.word("aggregation_type", TraceAggregation.Kind.self) else {
                throw given.missing("aggregation_type")
            }
            aggregations.append(TraceAggregation(kind, percentile: try given.double("percentile_value")))
        }
        guard !aggregations.isEmpty else { throw missing("aggregations") }
        var query = TraceMetricQuery(
            experimentIDs: experiments, measure: measure, aggregations: aggregations,
            dimensions: try strings("dimensions"), from: try time("start_time_ms"), until: try time("end_time_ms"),
            limit: try limit(otherwise: 1000))
        for text in try strings("filters") { query.filters.append(try TraceService.metricFilter(text, view)) }
        if let seconds = try int("time_interval_seconds"), seconds != 0 {
            guard 1...1_000_000_000 ~= seconds else {
                throw .invalid("time_interval_seconds", "must be from 1 to 1000000000")
            }
            query.interval = seconds * 1000
        }
        return query
    }
}

extension TraceMetricPoint {
    fileprivate func mlflow(_ query: TraceMetricQuery) -> JSONValue {
        var groups = JSONObject()
        if let time { groups["time_bucket"] = .string(time.iso8601.dropLast() + "+00:00") }
        for (name, value) in zip(query.dimensions, dimensions) { groups[name] = .string(value) }
        let values = zip(query.aggregations, values).map { ($0.label, JSONValue.double($1)) }
        var point: JSONObject = [
            "metric_name": .string(query.measure.name), "values": .object(JSONObject(values)),
        ]
        if !groups.isEmpty { point["dimensions"] = .object(groups) }
        return .object(point)
    }
}

extension TraceCorrelation {
    fileprivate var mlflow: JSONObject {
        var object: JSONObject = [
            "filter1_count": .int(Int64(first)), "filter2_count": .int(Int64(second)),
            "joint_count": .int(Int64(both)), "total_count": .int(Int64(total)),
        ]
        // What is not defined is left out, so that clients read NaN.
        if !npmi.isNaN { object["npmi"] = .double(npmi) }
        if !smoothedNPMI.isNaN { object["npmi_smoothed"] = .double(smoothedNPMI) }
        return object
    }
}
