import Testing

@testable import FeastAPI

/// Paths and names of OpenAI's vector stores.
@Suite struct VectorStoreCallTests {
    @Test func pathsOfVectorStoresAreRead() {
        #expect(VectorStoreCall(path: "v1/vector_stores") == .list)
        #expect(VectorStoreCall(path: "v1/vector_stores/vs_1") == .retrieve("vs_1"))
        #expect(VectorStoreCall(path: "v1/vector_stores/vs_1/search") == .search("vs_1"))
        for other in [
            "", "search", "v1", "v1/vector_stores/", "v1/vector_storesx", "v1/vector_stores/a/b",
            "v1/vector_stores/a/search/x", "x/v1/vector_stores",
        ] { #expect(VectorStoreCall(path: other) == nil, "\(other)") }
    }

    /// `printf library:docs | sha256sum | cut -c1-24`
    @Test func identifiersAreThoseOfFeast() {
        #expect(VectorStoreCall.identifier(project: "library", view: "docs") == "vs_a2b12d573634099b5bae6f19")
        #expect(VectorStoreCall.identifier(project: "default", view: "café") == "vs_cd2d5ff23ff6d3450ea98c48")
    }
}
