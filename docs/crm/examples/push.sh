#!/bin/sh
# Push two contacts, put a number on the do-not-call list, withdraw a contact, and read what is known of the first.
#   CADENCIA_URL=http://127.0.0.1:8080 CADENCIA_KEY=… CADENCIA_CAMPAIGN=winter sh push.sh
set -eu
api="$CADENCIA_URL/api/v1"

# -f: an answer of 400 and more ends the script; the body says why.
call() { curl -sS --fail-with-body --retry 3 -H "Authorization: Bearer $CADENCIA_KEY" "$@"; echo; }

# One JSON object a line; the answer has a verdict for each line. Sent again, nothing changes.
call -H 'Content-Type: application/x-ndjson' --data-binary @- "$api/campaigns/$CADENCIA_CAMPAIGN/contacts" <<'ROWS'
{"id": "sh-1", "phones": ["+34600111222"], "name": "Ana García", "fields": {"debt": 129.9}}
{"id": "sh-2", "phones": ["+34600111223"], "priority": 10}
ROWS

# A write with an idempotency key is carried out once, however often it is sent.
call -H 'Content-Type: application/json' -H 'Idempotency-Key: sh-removal-1' \
  -d "{\"removals\": [{\"campaign\": \"$CADENCIA_CAMPAIGN\", \"contact\": \"sh-2\", \"reason\": \"has paid\"}]}" \
  "$api/removals"

call -H 'Content-Type: application/json' -d '{"entries": [{"phone": "+34600111229", "reason": "asked for it"}]}' "$api/dnc"

call "$api/campaigns/$CADENCIA_CAMPAIGN/contacts/sh-1/why"
