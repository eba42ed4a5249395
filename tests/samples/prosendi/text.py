# A text, through the library `requests`.
import requests

answer = requests.post(
    "BASE_URL/api/whatsapp/send",
    json={"recipient": "PHONE", "message": "prosendi by python"},
    headers={"X-API-Key": "YOUR_KEY", "Content-Type": "application/json"},
)
print(answer.text)
