import Experiments
import Testing
