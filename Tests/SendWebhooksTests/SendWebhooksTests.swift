import SendWebhooks
import Testing
