import StoreObjects
import Testing
