# Checks a webhook request with the reference library: {"secret", "headers", "body"} on standard input; exits 0 when it holds.
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

request = json.load(sys.stdin)
try:
    event = Webhook(request["secret"]).verify(request["body"], request["headers"])
except WebhookVerificationError as error:
    sys.exit(f"refused: {error}")
print(json.dumps(event))
