# A text, with the key as a bearer.
curl --silent --show-error --fail-with-body -X POST \
  BASE_URL/api/v1/messages \
  -H "Authorization: Bearer YOUR_KEY" \
  -H "Content-Type: application/json" \
  -d '{"to": "PHONE", "message": "wamux by curl"}'
