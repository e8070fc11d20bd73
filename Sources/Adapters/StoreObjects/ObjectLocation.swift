public import AerieCore
import Foundation

/// A bucket, and the beginning that all keys in it share: `s3://bucket/prefix` or `gs://bucket/prefix`.
public struct ObjectLocation: Hashable, Sendable, CustomStringConvertible {
    public enum Service: String, Hashable, Sendable {
        case s3
        /// Google Cloud Storage, by its XML interface and HMAC keys.
        case gs
    }

    public let service: Service
    public let bucket: String
    /// Without slashes at either end; may be empty.
    public let prefix: String

    /// - Throws: `invalidArgument` that says what a location looks like.
    public init(_ text: String) throws(AerieError) {
        func wrong(_ problem: String) -> AerieError {
            .invalid("", "\"\(text.prefix(120))\" \(problem); write s3://bucket/prefix or gs://bucket/prefix")
        }
        guard let mark = text.range(of: "://"), let service = Service(rawValue: String(text[..<mark.lowerBound])) else {
            throw wrong("names no object store")
        }
        let rest = text[mark.upperBound...]
        let bucket = rest.prefix { $0 != "/" }
        // The rule of the services for names, without its finer points.
        let isName = bucket.utf8.allSatisfy {
            ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x7a) || ($0 >= 0x41 && $0 <= 0x5a)
                || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
        }
        guard bucket.utf8.count >= 3, bucket.utf8.count <= 222, isName else {
            throw wrong("names no bucket (3 letters or more of a–z, 0–9, '-', '.', '_')")
        }
        let parts = rest.dropFirst(bucket.count).split(separator: "/")
        guard !parts.contains(where: { $0 == ".." || $0 == "." || $0.utf8.contains { $0 < 0x20 || $0 == 0x7f } }) else {
            throw wrong("has a prefix with \".\", \"..\" or a control character")
        }
        self.service = service
        self.bucket = String(bucket)
        prefix = parts.joined(separator: "/")
    }

    public var description: String { "\(service.rawValue)://\(bucket)\(prefix.isEmpty ? "" : "/")\(prefix)" }
}

/// Where a bucket answers: `https://bucket.s3.eu-west-1.amazonaws.com`, `http://127.0.0.1:9000/bucket`.
public struct ObjectEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// `http` or `https`.
    public let scheme: String
    /// As the `Host` header has it: the port only where it is not the scheme's own.
    public let host: String
    /// Encoded, without a slash at its end: empty, or `/bucket` for path style.
    public let root: String

    /// - Parameters:
    ///   - override: the URL of a server that speaks the protocol; `nil` for the service's own.
    ///   - isPathStyle: the bucket as a part of the path and not of the host; `nil` for what suits.
    public init(
        _ location: ObjectLocation, region: String, override: String?, isPathStyle: Bool?
    ) throws(AerieError) {
        var base = location.service == .gs ? "https://storage.googleapis.com" : "https://s3.\(region).amazonaws.com"
        if location.service == .s3, region.hasPrefix("cn-") { base += ".cn" }
        let text = override ?? base
        guard let url = URLComponents(string: text), let scheme = url.scheme?.lowercased(),
            scheme == "http" || scheme == "https", let name = url.host, !name.isEmpty, url.query == nil
        else {
            throw .invalid("endpoint", "\"\(text.prefix(120))\" is no URL such as http://127.0.0.1:9000")
        }
        let port = url.port.flatMap { $0 == (scheme == "http" ? 80 : 443) ? nil : ":\($0)" } ?? ""
        var path = url.percentEncodedPath
        while path.hasSuffix("/") { path.removeLast() }
        // A bucket with dots has no certificate as a host's name; a server of one's own rarely knows buckets as hosts.
        let fits = !location.bucket.contains(where: { $0 == "." || $0 == "_" || $0.isUppercase })
        let inPath = isPathStyle ?? (override != nil || !fits || location.service == .gs)
        self.scheme = scheme
        host = (inPath ? "" : location.bucket + ".") + name + port
        root = path + (inPath ? "/" + URIEncoding.path(location.bucket) : "")
    }

    public var description: String { "\(scheme)://\(host)\(root)" }
}

/// Escapes as the signature wants them: everything but letters, digits and `-._~`, by the bytes of UTF-8.
enum URIEncoding {
    private static let digits = Array("0123456789ABCDEF".utf8)

    static func path(_ text: String) -> String { encode(text, keepsSlash: true) }
    static func query(_ text: String) -> String { encode(text, keepsSlash: false) }

    private static func encode(_ text: String, keepsSlash: Bool) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                out.append(byte)
            case UInt8(ascii: "/") where keepsSlash: out.append(byte)
            default: out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
