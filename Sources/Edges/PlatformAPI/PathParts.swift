import Foundation
import Hummingbird

extension RequestContext {
    /// What stands in the path in the place that the route calls so, with `%5F` and its like resolved, which the router
    /// leaves as the client wrote them.
    func part(_ name: String) throws -> String {
        let written = try parameters.require(name)
        return written.removingPercentEncoding ?? written
    }
}
