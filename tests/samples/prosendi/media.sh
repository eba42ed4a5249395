# A file at a URL, with a caption.
curl --silent --show-error --fail-with-body -X POST "BASE_URL/api/whatsapp/send" \
  -H "X-API-Key: YOUR_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "recipient": "PHONE",
    "message": "prosendi media by curl",
    "media_url": "MEDIA_URL"
  }'
