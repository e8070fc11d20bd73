import Retention
import Testing
