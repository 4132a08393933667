// Push contacts, withdraw one, and listen to what comes of it. Node 18 or newer, no packages.
//   CADENCIA_URL=http://127.0.0.1:8080 CADENCIA_KEY=… CADENCIA_CAMPAIGN=winter node push.mjs
import { randomUUID } from "node:crypto";

const { CADENCIA_URL: url, CADENCIA_KEY: key, CADENCIA_CAMPAIGN: campaign } = process.env;

// Sends until there is an answer; the idempotency key makes sure that it is carried out once.
async function call(method, path, body, type = "application/json") {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": type, "Idempotency-Key": randomUUID() };
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(`${url}/api/v1${path}`, { method, headers, body }).catch((error) => ({ status: 503, error }));
    if ([429, 502, 503, 504].includes(answer.status) && attempt < 5) {
      await new Promise((wake) => setTimeout(wake, 200 * 2 ** attempt));
      continue;
    }
    if (answer.error) throw answer.error;
    const value = await answer.json();
    if (answer.status >= 400) throw new Error(`${value.error}: ${value.message}`);
    return value;
  }
}

// Server-sent events by hand: fetch can set the Authorization header, which EventSource cannot.
async function* events(query, last) {
  const headers = { Authorization: `Bearer ${key}`, ...(last && { "Last-Event-ID": last }) };
  const answer = await fetch(`${url}/api/v1/events?${new URLSearchParams(query)}`, { headers });
  let held = "";
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    const parts = (held + chunk).split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: (.*)/s)));
      if (fields.data) yield { id: fields.id, name: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

const rows = [
  { id: "js-1", phones: ["+34600111242"], name: "Ana García", fields: { debt: 129.9 } },
  { id: "js-2", phones: ["+34600111243"], priority: 10 },
];
const lines = rows.map((row) => JSON.stringify(row)).join("\n");
const pushed = await call("POST", `/campaigns/${campaign}/contacts`, lines, "application/x-ndjson");
for (const item of pushed.items) console.log(item.line, item.status, item.reason, item.problem ?? "");

await call("POST", "/removals", JSON.stringify({ removals: [{ campaign, contact: "js-2", reason: "has paid" }] }));
for await (const event of events({ types: "removal.*", campaign }, "0-0")) {
  console.log(event.id, event.data.type, event.data.contact);
  if (event.data.contact === "js-2") process.exit(0);
}
