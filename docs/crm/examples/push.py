"""Push contacts, withdraw one, and print what comes of the others: the client that is shipped with the dialer.

CADENCIA_URL=http://127.0.0.1:8080 CADENCIA_KEY=… CADENCIA_CAMPAIGN=winter python push.py
"""

import os

from dialer.client import Client

campaign = os.environ["CADENCIA_CAMPAIGN"]
with Client(os.environ["CADENCIA_URL"], os.environ["CADENCIA_KEY"]) as dialer:
    pushed = dialer.push(
        campaign,
        [
            {"id": "py-1", "phones": ["+34600111232"], "name": "Ana García", "fields": {"debt": 129.9}},
            {"id": "py-2", "phones": ["+34600111233"], "priority": 10},
            {"id": "py-3", "phones": ["12"]},
        ],
    )
    print(f"{pushed.accepted} taken")
    for item in pushed.rejected:
        print(f"line {item.line} ({item.id}): {item.reason}: {item.problem}")

    removed = dialer.remove([{"campaign": campaign, "contact": "py-2", "reason": "has paid"}])
    assert removed.accepted == 1

    # Everything that is kept ("0-0"), then what comes; keep the id of the last event to go on behind it.
    for event in dialer.events(types="removal.*", campaign=campaign, after="0-0"):
        print(event.id, event.data["type"], event.data.get("contact"))
        if event.data.get("contact") == "py-2":
            break
