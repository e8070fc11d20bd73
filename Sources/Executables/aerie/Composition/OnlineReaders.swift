import Features
import NIOCore
import Serving
import StoreLMDB
import StoreRedis

extension Platform {
    /// The data plane's way to the online store; `nil` where only the general way leads to it.
    func onlineReader(on eventLoop: any EventLoop) -> (any OnlineReader)? {
        if let store = features.stored as? LMDBOnlineStore { return store.reader() }
        if let store = features.stored as? RedisOnlineStore { return store.reader(on: eventLoop) }
        return nil
    }

    /// The data plane's way to features in predictions.
    func featureLanes(on eventLoop: any EventLoop) -> (any FeatureLanes)? {
        onlineReader(on: eventLoop).map { ServingLanes($0, isImmediate: features.stored is any ImmediateOnlineStore) }
    }
}
