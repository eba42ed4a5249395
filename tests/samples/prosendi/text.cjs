// A text, through the library `axios`.
const axios = require("axios");

axios
  .post(
    "BASE_URL/api/whatsapp/send",
    { recipient: "PHONE", message: "prosendi by node" },
    { headers: { "X-API-Key": "YOUR_KEY", "Content-Type": "application/json" } },
  )
  .then((answer) => console.log(JSON.stringify(answer.data)));
