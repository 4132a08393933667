<?php
// Push contacts and withdraw one. PHP 8 with the curl extension.
//   CADENCIA_URL=http://127.0.0.1:8080 CADENCIA_KEY=… CADENCIA_CAMPAIGN=winter php push.php

declare(strict_types=1);

// Sends until there is an answer; the idempotency key makes sure that it is carried out once.
function call(string $method, string $path, string $body, string $type = 'application/json'): array
{
    $idempotency = bin2hex(random_bytes(16));
    for ($attempt = 0; ; $attempt++) {
        $curl = curl_init(getenv('CADENCIA_URL') . '/api/v1' . $path);
        curl_setopt_array($curl, [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 30,
            CURLOPT_HTTPHEADER => [
                'Authorization: Bearer ' . getenv('CADENCIA_KEY'),
                'Content-Type: ' . $type,
                'Idempotency-Key: ' . $idempotency,
            ],
        ]);
        $answer = curl_exec($curl);
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        if (($answer === false || in_array($status, [429, 502, 503, 504], true)) && $attempt < 5) {
            usleep(200_000 * 2 ** $attempt);
            continue;
        }
        if ($answer === false) {
            throw new RuntimeException(curl_error($curl));
        }
        $value = json_decode($answer, true, flags: JSON_THROW_ON_ERROR);
        if ($status >= 400) {
            throw new RuntimeException($value['error'] . ': ' . $value['message']);
        }
        return $value;
    }
}

$campaign = getenv('CADENCIA_CAMPAIGN');
$rows = [
    ['id' => 'php-1', 'phones' => ['+34600111252'], 'name' => 'Ana García', 'fields' => ['debt' => 129.9]],
    ['id' => 'php-2', 'phones' => ['+34600111253'], 'priority' => 10],
];
$lines = implode("\n", array_map(fn (array $row): string => json_encode($row, JSON_THROW_ON_ERROR), $rows));
$pushed = call('POST', '/campaigns/' . rawurlencode($campaign) . '/contacts', $lines, 'application/x-ndjson');
foreach ($pushed['items'] as $item) {
    echo "{$item['line']} {$item['status']} {$item['reason']}\n";
}

$removal = ['removals' => [['campaign' => $campaign, 'contact' => 'php-2', 'reason' => 'has paid']]];
call('POST', '/removals', json_encode($removal, JSON_THROW_ON_ERROR));
echo "withdrawn\n";
