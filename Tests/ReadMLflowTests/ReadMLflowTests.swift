import ReadMLflow
import Testing
