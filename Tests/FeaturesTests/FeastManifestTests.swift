import AerieCore
import AerieResources
@testable import Features
import Testing

@Suite struct FeastManifestTests {
    private let reader = ManifestReader(
        kinds: KindRegistry([EntityKind(), FeatureViewKind(), FeatureServiceKind()], foreign: [FeastManifest()]))

    private let text = """
        project: ml_platform
        entities:
          - name: user_id
            value_type: STRING
          - name: transaction_id
            value_type: STRING
        features:
          - name: transaction_amount
            dtype: FLOAT
            description: "Transaction amount in USD"
          - name: transaction_hour
            dtype: INT32
          - name: location_mismatch
            dtype: BOOL
        feature_views:
          - name: transaction_features
            entities:
              - transaction_id
            features:
              - transaction_amount
              - transaction_hour
            online: true
            batch_source:
              type: BigQuery
              table: "project.dataset.transactions"
        push_sources:
          - name: live
            feature_view: transaction_features
        feature_services:
          - name: fraud
            features: ["transaction_features:transaction_amount"]
        """

    @Test func oneDocumentIsManyObjects() throws {
        let manifests = try reader.read(text)
        #expect(
            manifests.map { "\($0.resource.key)" } == [
                "Entity/user_id", "Entity/transaction_id", "FeatureView/transaction_features", "FeatureService/fraud",
            ])
        let catalog = FeatureCatalog(
            namespace: "default", entities: manifests[0..<2].map(\.resource), views: [manifests[2].resource],
            services: [manifests[3].resource])
        let view = try catalog.view("transaction_features")
        #expect(catalog.problems.isEmpty)
        #expect(view.joinKeys.map(\.name) == ["transaction_id"] && view.joinKeys[0].type == .string)
        #expect(view.definition.features.map(\.name) == ["transaction_amount", "transaction_hour"])
        #expect(view.definition.features[0].description == "Transaction amount in USD")
        #expect(view.pushSource == "live" && !view.definition.isConnected)
        let warnings = manifests.flatMap(\.warnings)
        #expect(warnings.contains { $0.contains("ml_platform") })
        #expect(warnings.contains { $0.contains("location_mismatch") })
        #expect(warnings.contains { $0.contains("project.dataset.transactions is not connected") })
    }

    @Test func whatIsWrongIsSaidWithItsLine() throws {
        // The name stands twice: where the feature is declared, and where the view lists it.
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let listed = try #require(lines.lastIndex { $0.hasSuffix("- transaction_hour") })
        lines[listed] = lines[listed].replacing("transaction_hour", with: "nobody")
        let typed = try #require(lines.firstIndex { $0.hasSuffix("dtype: FLOAT") })
        lines[typed] = lines[typed].replacing("FLOAT", with: "FLOOT")
        let wrong = lines.joined(separator: "\n") + "\nextra: 1\n"
        let error = try #require(throws: AerieError.self) { try reader.read(wrong) }
        let said = error.details.map { "\($0.line ?? 0) \($0.field): \($0.problem)" }.joined(separator: "\n")
        #expect(said.contains("'nobody' is not among the features"))
        #expect(said.contains("FLOOT"))
        #expect(said.contains("extra"))
        #expect(error.details.allSatisfy { $0.line != nil })
    }
}
