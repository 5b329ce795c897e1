<?php
// Sends the ballots on standard input to the address in the first argument, over one connection while it lasts.
// A line is a ballot: its body and, if it has one, its id.
$curl = curl_init($argv[1]);
while (($line = fgets(STDIN)) !== false) {
    $fields = explode(' ', trim($line));
    curl_setopt_array($curl, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 20,
        CURLOPT_POSTFIELDS => $fields[0],
        CURLOPT_HTTPHEADER => isset($fields[1]) ? ['Idempotency-Key: "' . $fields[1] . '"'] : [],
    ]);
    curl_exec($curl);
}
