import AerieCore
import Experiments
import Foundation
import Testing

@testable import StoreObjects

/// What is the object store's own: signatures, places, credentials, and servers that fail.
@Suite(.serialized) struct ObjectStoreTests {
    /// The example of a GET with a range in Amazon's documentation of Signature Version 4 for S3.
    @Test func theSignatureOfTheDocumentation() {
        let signature = SignatureV4(
            credentials: ObjectCredentials(
                accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            region: "us-east-1")
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        let subject = SignatureV4.Subject(
            method: "GET", path: "/test.txt",
            headers: [
                ("host", "examplebucket.s3.amazonaws.com"), ("range", "bytes=0-9"),
                ("x-amz-content-sha256", hash), ("x-amz-date", "20130524T000000Z"),
            ], payloadHash: hash)
        #expect(
            signature.authorization(subject, at: SigningMoment("20130524T000000Z")).hasSuffix(
                "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"))
        let query = signature.presignedQuery(
            method: "GET", path: "/test.txt", query: [], host: "examplebucket.s3.amazonaws.com", seconds: 86400,
            at: SigningMoment("20130524T000000Z"))
        #expect(
            query.hasSuffix("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"))
    }

    @Test(arguments: [
        ("s3://models", "https://models.s3.eu-west-1.amazonaws.com"),
        ("s3://my.models/a", "https://s3.eu-west-1.amazonaws.com/my.models"),
        ("gs://models/a/b/", "https://storage.googleapis.com/models"),
    ]) func placesOfBuckets(_ location: String, _ endpoint: String) throws {
        let made = try ObjectEndpoint(ObjectLocation(location), region: "eu-west-1", override: nil, isPathStyle: nil)
        #expect(made.description == endpoint)
    }

    @Test(arguments: ["s3:/x", "http://bucket", "s3://", "s3://a", "s3://bu cket/x", "s3://bucket/../x", "bucket"])
    func noPlaces(_ text: String) { #expect(throws: AerieError.self) { _ = try ObjectLocation(text) } }

    @Test func credentialsComeFromTheEnvironmentThenTheFile() throws {
        let location = try ObjectLocation("s3://models")
        let file =
            "[default]\naws_access_key_id = a\naws_secret_access_key=b\n# x\n[work]\naws_access_key_id=c\n"
            + "aws_secret_access_key = d\nregion = eu-north-1\n"
        func settings(_ environment: [String: String]) throws(AerieError) -> ObjectSettings {
            try ObjectSettings(for: location, environment: environment) { $0.hasSuffix("credentials") ? file : nil }
        }
        #expect(try settings([:]).credentials.accessKey == "a")
        let work = try settings(["AWS_PROFILE": "work"])
        #expect(work.credentials.accessKey == "c" && work.region == "eu-north-1")
        let own = try settings([
            "AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "f", "MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:9",
        ])
        #expect(own.credentials.accessKey == "e" && own.endpoint == "http://127.0.0.1:9")
        #expect(!"\(own.credentials)".contains("f") && !own.credentials.debugDescription.contains("secret"))
        #expect(throws: AerieError.self) { _ = try settings(["AWS_PROFILE": "nobody"]) }
    }

    @Test func xmlOfAllKinds() throws {
        let text = "<?xml version=\"1.0\"?><!-- c --><a:R x='>'><K>a&amp;b&#233;&#x2713;<![CDATA[<&>]]></K><E/></a:R>"
        let xml = try #require(XMLNode.parse(Array(text.utf8)))
        #expect(xml.name == "R" && xml["K"] == "a&bé✓<&>" && xml["E"] == "")
        for broken in ["", "<a>", "<a></b>", "text", "<a", String(repeating: "<a>", count: 100)] {
            #expect(XMLNode.parse(Array(broken.utf8)) == nil)
        }
    }

    @Test func aBucketThatIsNotThereIsSaidSo() async throws {
        let server = try await ObjectServer()
        defer { server.stop() }
        try await server.store("x").check()
        let missing = try server.store("x", bucket: "nobody-made-this")
        let error = await #expect(throws: AerieError.self) { try await missing.check() }
        #expect(error?.reason == "objects.bucket")
    }

    @Test func aServerThatIsAwayIsSaidSoAndComesBack() async throws {
        let server = try await ObjectServer()
        defer { server.stop() }
        let store = try server.store("x")
        server.stop()
        let error = await #expect(throws: AerieError.self) { try await store.check() }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("127.0.0.1") == true)
        try await server.start()
        try await server.makeBucket()
        try await store.check()
    }

    @Test func whatChangesWhileItIsReadIsNotMixed() async throws {
        let server = try await ObjectServer()
        defer { server.stop() }
        let store = try server.store("x")
        func write(_ byte: UInt8) async throws {
            var left = 10
            let next = { () async throws(AerieError) -> [UInt8]? in
                left -= 1
                return left >= 0 ? [UInt8](repeating: byte, count: 1 << 20) : nil
            }
            _ = try await store.put(try ArtifactPath("big"), next: next)
        }
        try await write(1)
        let reader = try await store.open(try ArtifactPath("big"), range: nil)
        #expect(try await reader.next()?.first == 1)
        try await write(2)
        var code: AerieError.Code?
        do throws(AerieError) {
            while let piece = try await reader.next() { #expect(piece.allSatisfy { $0 == 1 }) }
        } catch { code = error.code }
        #expect(code == .dataLoss)
    }
}
