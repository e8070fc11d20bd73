/// One of the settings that a deployment's annotations, or the parameters of its graph, may make.
protocol DeploymentSetting: RawRepresentable<String>, CaseIterable {
    /// What is wrong with the setting's value; `nil` if nothing is.
    func problem(_ value: String) -> String?
}

extension LabelSetting: DeploymentSetting {}
extension FeatureSetting: DeploymentSetting {}
extension TrafficSetting: DeploymentSetting {}
extension ServingSetting: DeploymentSetting {}
extension LimitSetting: DeploymentSetting {}

/// The settings that parameters of a graph's first node may make as annotations do; how traffic is led is a matter of
/// annotations alone.
enum ParameterSetting {
    private static let kinds: [any DeploymentSetting.Type] = [
        LabelSetting.self, FeatureSetting.self, ServingSetting.self, LimitSetting.self,
    ]

    static func named(_ name: String) -> (any DeploymentSetting)? {
        for kind in kinds {
            if let setting = kind.init(rawValue: name) { return setting }
        }
        return nil
    }
}
