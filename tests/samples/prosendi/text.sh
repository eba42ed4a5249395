# A text, as an integrator's shell script sends it.
API_KEY="YOUR_KEY"
curl --silent --show-error --fail-with-body -X POST "BASE_URL/api/whatsapp/send" \
  -H "X-API-Key: $API_KEY" -H "Content-Type: application/json" \
  -d '{"recipient": "PHONE", "message": "prosendi by curl"}'
