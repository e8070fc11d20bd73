import StorePostgres
import Testing
