// AerieTelemetry
