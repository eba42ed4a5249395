<?php
// A text, through PHP's curl.
$ch = curl_init('BASE_URL/api/whatsapp/send');
curl_setopt_array($ch, [
    CURLOPT_POST => true,
    CURLOPT_HTTPHEADER => ['X-API-Key: YOUR_KEY', 'Content-Type: application/json'],
    CURLOPT_POSTFIELDS => json_encode(['recipient' => 'PHONE', 'message' => 'prosendi by php']),
    CURLOPT_RETURNTRANSFER => true,
]);
echo curl_exec($ch);
