/// The deployments of the founding document, as a reader would paste them.
enum FoundingDocument {
    static let deployment = """
        apiVersion: machinelearning.seldon.io/v1
        kind: SeldonDeployment
        metadata:
          name: fraud-detector
        spec:
          predictors:
          - name: production
            replicas: 100
            graph:
              name: classifier
              type: MODEL
              implementation: SKLEARN_SERVER
              modelUri: gs://ml-models/fraud-detector/v1
            componentSpecs:
            - spec:
                containers:
                - name: classifier
                  resources:
                    requests:
                      cpu: "2"
                      memory: 4Gi
                    limits:
                      cpu: "4"
                      memory: 8Gi
            autoscaling:
              enabled: true
              minReplicas: 50
              maxReplicas: 200
              targetCPUUtilization: 70
        """

    static let abTest = """
        apiVersion: machinelearning.seldon.io/v1
        kind: SeldonDeployment
        metadata:
          name: fraud-detector-ab-test
        spec:
          predictors:
          - name: model-v1
            replicas: 80
            traffic: 80
            graph:
              name: classifier-v1
              modelUri: gs://ml-models/fraud-detector/v1
          - name: model-v2
            replicas: 20
            traffic: 20
            graph:
              name: classifier-v2
              modelUri: gs://ml-models/fraud-detector/v2
        """
}
