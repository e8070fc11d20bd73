import Foundation

/// The project's folders, by the place of this file.
enum ProjectFiles {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    static var fuzz: String { "\(root)/Fuzz" }
    /// Small models that the real libraries have written.
    static var trees: String { "\(root)/Tests/Fixtures/trees/small" }
    static var onnx: String { "\(root)/Tests/InferONNXTests/Fixtures" }

    /// The files of a folder with that ending, in the order of their names.
    static func all(in folder: String, ending: String) -> [[UInt8]] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(ending) }.sorted().compactMap { name in
            (try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))).map { Array($0) }
        }
    }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
