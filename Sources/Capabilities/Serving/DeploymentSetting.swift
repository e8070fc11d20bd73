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
