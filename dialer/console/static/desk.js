// The agent's page: what is live comes by server-sent events; here is what must survive a lost connection. What an agent
// types is kept in this tab, and what they send waits here until the server has answered, each thing under a key of its
// own, so that it is carried out once.
"use strict";
(() => {
  const root = document.getElementById("desk");
  if (!root) return;
  const at = (id) => document.getElementById(id);
  const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";
  const language = document.documentElement.lang;
  const live = at("desk-live");
  const panel = at("desk-call");
  const SILENT_MS = 12_000;
  const ANSWER_MS = 20_000;
  const RETRY_MS = 2_000;
  // What has ended is on record by then.
  const RECORD_MS = 2_000;

  // ---- what is kept in this tab, for this agent
  const name = (key) => `desk:${root.dataset.agent}:${key}`;
  const kept = {
    get(key, without) {
      try {
        return JSON.parse(sessionStorage.getItem(name(key))) ?? without;
      } catch {
        return without;
      }
    },
    set(key, value) {
      try {
        if (value === null) sessionStorage.removeItem(name(key));
        else sessionStorage.setItem(name(key), JSON.stringify(value));
      } catch {
        // No storage: it lives as long as the page.
      }
    },
  };
  let outbox = kept.get("outbox", []);
  const keepOutbox = (items) => {
    outbox = items;
    kept.set("outbox", items.length ? items : null);
  };

  // ---- words
  const told = at("desk-told");
  const tell = (text, bad = false) => {
    told.textContent = text;
    told.hidden = !text;
    told.classList.toggle("bad", bad);
  };
  const problem = (text) => {
    const place = panel.querySelector("[data-desk-problem]");
    if (!place) return tell(text, true);
    place.textContent = text;
    place.hidden = !text;
  };

  // ---- requests
  const toLogin = () => location.assign("/console/login");
  const post = async (url, body) => {
    try {
      const answer = await fetch(url, {
        method: "POST",
        headers: { "X-CSRF-Token": csrf, "Content-Type": "application/x-www-form-urlencoded" },
        body: body.toString(),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (answer.ok) return { done: true };
      if (answer.status === 401) {
        toLogin();
        return { later: true };
      }
      const says = await answer.text();
      return answer.status >= 500 || answer.status === 429 ? { later: true, says } : { says };
    } catch {
      return { later: true, lost: true };
    }
  };
  const load = async (url) => {
    const answer = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(ANSWER_MS) });
    if (answer.status === 401 || answer.type === "opaqueredirect") toLogin();
    return answer.ok ? answer.text() : null;
  };

  // ---- what waits to be sent
  let sending = false;
  const send = async () => {
    if (sending) return;
    sending = true;
    try {
      while (outbox.length) {
        const [item] = outbox;
        const answer = await post(item.url, item.body);
        if (answer.later) {
          tell(root.dataset.kept, true);
          setTimeout(send, RETRY_MS);
          return;
        }
        keepOutbox(outbox.filter((other) => other.id !== item.id));
        settled(item, answer.done ? "" : answer.says);
      }
    } finally {
      sending = false;
    }
  };
  const put = (item) => {
    // Whoever thinks better of it before it was sent has only the last word sent.
    keepOutbox([...outbox.filter((other) => other.call !== item.call || other.what !== item.what), item]);
    return send();
  };
  const settled = (item, refusal) => {
    const shown = panel.querySelector("#desk-person")?.dataset.shown === item.call;
    if (refusal) {
      if (shown) {
        problem(root.dataset.refused + refusal);
        delete form().dataset.sent;
      } else tell(`${item.call}: ${root.dataset.refused}${refusal}`, true);
      return;
    }
    tell(root.dataset.sent);
    if (item.what === "close") {
      kept.set(`draft:${item.call}`, null);
      closed = item.call;
      if (shown && item.call === current) open(item.call);
      else if (shown) close();
    }
    laterDay();
  };

  // ---- the call
  let current = "";
  let wanted = "";
  let closed = "";
  // Who does not work and looks at no call needs no place for one.
  const room = () => {
    at("desk-columns").hidden = at("desk-now").dataset.working !== "yes" && !at("desk-person");
  };
  const close = () => {
    wanted = "";
    panel.innerHTML = "";
    const none = document.createElement("p");
    none.className = "card quiet";
    none.textContent = panel.dataset.none;
    panel.append(none);
    showPage("", false);
    room();
  };
  const open = async (call, tries = 8) => {
    wanted = call;
    let html = null;
    try {
      html = await load(`/console/desk/calls/${encodeURIComponent(call)}`);
    } catch {
      // Tried again below, or when the connection is back.
    }
    if (wanted !== call) return;
    if (html === null) {
      if (tries > 0) setTimeout(() => wanted === call && open(call, tries - 1), 700);
      return;
    }
    // Whoever types goes on typing: a digit that finds no field would close the call.
    const typed = panel.contains(document.activeElement) ? document.activeElement.id : "";
    const same = panel.querySelector("#desk-person")?.dataset.shown === call;
    panel.innerHTML = html;
    words(panel);
    if (typed && same) at(typed)?.focus();
    room();
    const person = at("desk-person");
    restore(call);
    showPage(person.dataset.page, person.dataset.framed === "yes");
    if (call === current) pop(call, person.dataset);
    possible();
  };

  // The agent has no call any more: what has its code makes room, what has none stays until the next person.
  const over = (call) => {
    laterDay();
    if (wanted !== call) return;
    if (closed === call) return close();
    setTimeout(async () => {
      if (wanted !== call || current || kept.get(`draft:${call}`, null)) return;
      await open(call);
      if (wanted === call && !current && at("desk-person")?.dataset.given) close();
    }, RECORD_MS);
  };

  const form = () => panel.querySelector("form.desk-close");
  const remember = () => {
    const fields = new FormData(form());
    fields.delete("code");
    const draft = Object.fromEntries(fields);
    draft.open = panel.querySelector("details.desk-callback")?.open ?? false;
    kept.set(`draft:${form().dataset.call}`, draft);
  };
  const restore = (call) => {
    const draft = kept.get(`draft:${call}`, null);
    if (!draft) return;
    for (const field of form().elements) {
      if (field.type === "radio") field.checked = field.value === draft[field.name];
      else if (field.type === "checkbox") field.checked = field.name ? field.name in draft : field.checked;
      else if (field.name && field.name !== "code" && field.name in draft) field.value = draft[field.name];
    }
    const callback = panel.querySelector("details.desk-callback");
    if (callback) callback.open = draft.open;
  };

  panel.addEventListener("input", () => form() && remember());
  panel.addEventListener("toggle", () => form() && remember(), true);
  panel.addEventListener("submit", (event) => {
    const sent = event.target;
    if (!sent.matches("form.desk-close")) return;
    event.preventDefault();
    const button = event.submitter;
    if (!button?.value) return;
    const callback = sent.querySelector("details.desk-callback");
    if (button.dataset.needs === "amount" && !sent.elements.amount.value.trim()) {
      sent.elements.amount.focus();
      return problem(sent.dataset.amountNeeded);
    }
    if (button.dataset.needs === "callback" && !callback.open) callback.open = true;
    const body = new URLSearchParams(new FormData(sent));
    if (callback.open) {
      if (!body.get("day")) {
        sent.querySelector('input[name="day"]:enabled')?.focus();
        return problem(sent.dataset.callbackNeeded);
      }
      if (!body.get("hour")) {
        sent.elements.hour.focus();
        return problem(sent.dataset.callbackNeeded);
      }
    } else {
      for (const field of ["day", "hour", "mine"]) body.delete(field);
    }
    problem("");
    sent.dataset.sent = "yes";
    body.set("code", button.value);
    const id = unique();
    body.set("key", id);
    put({ id, url: sent.dataset.deskClose, body: body.toString(), call: sent.dataset.call, what: "close" });
  });
  // Not crypto.randomUUID: that needs HTTPS, and a floor may be reached without.
  const unique = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

  // ---- the page of the CRM
  const showPage = (address, framed) => {
    const aside = at("desk-page");
    aside.replaceChildren();
    aside.hidden = !address || !framed;
    if (aside.hidden) return;
    const frame = document.createElement("iframe");
    frame.title = aside.getAttribute("aria-label");
    frame.referrerPolicy = "no-referrer";
    // Everything that a CRM needs but to lead this window elsewhere.
    frame.sandbox =
      "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox allow-downloads allow-modals";
    frame.src = address;
    aside.append(frame);
  };
  const pop = (call, { page, framed, live: goesOn }) => {
    if (!page || framed === "yes" || goesOn !== "yes" || kept.get("popped", "") === call) return;
    kept.set("popped", call);
    const tab = window.open("about:blank");
    if (!tab) {
      panel.querySelector("[data-desk-blocked]").hidden = false;
      return;
    }
    // The CRM's page gets no hold of this one.
    tab.opener = null;
    tab.location.replace(page);
  };

  // ---- the state
  let offset = 0;
  const seconds = () => Date.now() / 1000 - offset;
  const span = (s) => {
    const all = Math.max(0, Math.floor(s));
    const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, String(all % 60).padStart(2, "0")];
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  };
  const tick = () => {
    for (const clock of live.querySelectorAll("[data-since]")) clock.textContent = span(seconds() - clock.dataset.since);
    for (const clock of live.querySelectorAll("[data-until]")) clock.textContent = span(clock.dataset.until - seconds());
  };
  // What can be done with the call that is shown, without another look at the server.
  const possible = () => {
    const { state, recording } = at("desk-now")?.dataset ?? {};
    const talks = state === "talking" && at("desk-person")?.dataset.shown === current;
    for (const button of panel.querySelectorAll("[data-while]")) {
      button.hidden = !talks || !button.dataset.while.split(" ").includes(recording);
    }
    for (const button of panel.querySelectorAll("[data-place]")) button.hidden = talks;
  };
  const apply = () => {
    const now = at("desk-now");
    if (!now) return;
    offset = Date.now() / 1000 - Number(now.dataset.now);
    const works = now.dataset.working === "yes";
    at("desk-sign-in").hidden = works;
    at("desk-dial").hidden = !works;
    room();
    if (now.dataset.call !== current) {
      const before = current;
      current = now.dataset.call;
      if (current) open(current);
      else if (before) over(before);
    }
    if (now.dataset.state !== apply.state) {
      apply.state = now.dataset.state;
      document.title = `${live.querySelector(".desk-state").textContent.trim()} · ${document.title.split(" · ").at(-1)}`;
    }
    possible();
    tick();
  };

  // ---- the connection
  let connection = null;
  let heard = performance.now();
  const lost = (is) => {
    at("desk-lost").hidden = !is;
  };
  const hear = () => {
    heard = performance.now();
    lost(!navigator.onLine);
  };
  live.addEventListener("htmx:sse:after:connection", (event) => {
    connection = event.detail.connection;
    if (!at("desk-lost").hidden) day();
    hear();
    send();
    if (wanted && !panel.querySelector("#desk-person")) open(wanted);
  });
  live.addEventListener("htmx:sse:error", () => lost(true));
  live.addEventListener("htmx:sse:after:message", (event) => {
    hear();
    if (!event.detail.message.event) apply();
  });
  addEventListener("offline", () => lost(true));
  addEventListener("online", () => {
    // Another connection at once: the old one may hang, or wait for its next try.
    connection?.reader?.cancel();
    connection?.delayCanceller?.();
  });
  setInterval(() => {
    tick();
    if (performance.now() - heard > SILENT_MS) {
      // A connection that says nothing is none: begin another.
      lost(true);
      heard = performance.now();
      connection?.reader?.cancel();
    }
  }, 1_000);

  // ---- orders
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-desk], [data-desk-keep], [data-desk-open], [data-desk-aside]");
    if (!button || (button.dataset.sure && !confirm(button.dataset.sure))) return;
    if ("deskAside" in button.dataset) return close();
    if (button.dataset.deskOpen) return open(button.dataset.deskOpen);
    if (button.dataset.deskKeep) {
      const call = at("desk-person").dataset.shown;
      return put({ id: unique(), url: button.dataset.deskKeep, body: "", call, what: "do-not-call" });
    }
    const body = new URLSearchParams();
    for (const field of ["code", "order", "consent", "call", "place"]) {
      if (field in button.dataset) body.set(field, button.dataset[field]);
    }
    button.disabled = true;
    const answer = await post(button.dataset.desk, body);
    button.disabled = false;
    tell(answer.done ? "" : answer.lost ? root.dataset.offline : root.dataset.refused + (answer.says ?? ""), !answer.done);
  });
  at("desk-sign-in").addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = new URLSearchParams(new FormData(event.target));
    const button = event.target.querySelector("button");
    button.disabled = true;
    const answer = await post("/console/desk/sign-in", given);
    button.disabled = false;
    if (!answer.done) return tell(answer.lost ? root.dataset.offline : answer.says, true);
    tell("");
    try {
      localStorage.setItem("desk:phone", given.get("phone"));
    } catch {
      // Typed again next time, then.
    }
  });
  root.querySelector("[data-desk-form]").addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = event.target;
    const answer = await post(sent.dataset.deskForm, new URLSearchParams(new FormData(sent)));
    tell(answer.done ? root.dataset.asked : answer.lost ? root.dataset.offline : answer.says, !answer.done);
    if (answer.done) sent.reset();
  });
  document.querySelector('form[action="/console/logout"]')?.addEventListener("submit", async (event) => {
    const leaving = event.target;
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(name("draft:"))) sessionStorage.removeItem(key);
    if (at("desk-now").dataset.working !== "yes") return;
    event.preventDefault();
    if (confirm(root.dataset.leave)) await post("/console/desk/sign-out", new URLSearchParams());
    leaving.submit();
  });

  // ---- keys
  const TYPING = 'input:not([type="checkbox"]):not([type="radio"]), textarea, select';
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.matches?.(TYPING)) return event.target.blur();
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.target.matches?.(TYPING)) return;
    const pressed = event.key.toLowerCase();
    if (!/^[0-9a-z]$/.test(pressed) || !panel.querySelector("[data-desk-keys]")?.checked || form().dataset.sent) return;
    const button = panel.querySelector(`[data-key="${pressed}"]`);
    if (!button) return;
    event.preventDefault();
    button.form.requestSubmit(button);
  });
  panel.addEventListener("keydown", (event) => {
    // Enter in a field would press the first of the codes.
    if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
  });
  panel.addEventListener("change", (event) => {
    if (!("deskKeys" in event.target.dataset)) return;
    try {
      localStorage.setItem("desk:keys", event.target.checked ? "on" : "off");
    } catch {
      // Chosen again next time, then.
    }
  });

  // ---- moments, days, and what the browser remembers
  const words = (part) => {
    for (const time of part.querySelectorAll("time[data-at]")) {
      const moment = new Date(1000 * Number(time.dataset.at));
      time.dateTime = moment.toISOString();
      time.textContent = moment.toLocaleString(language, { dateStyle: "short", timeStyle: "short" });
    }
    for (const date of part.querySelectorAll("[data-day]")) {
      date.textContent = new Date(`${date.dataset.day}T12:00:00Z`).toLocaleDateString(language, {
        weekday: "short",
        day: "numeric",
        month: "short",
        timeZone: "UTC",
      });
    }
    const keys = part.querySelector("[data-desk-keys]");
    if (keys && localStorage.getItem("desk:keys") === "off") keys.checked = false;
  };

  // ---- the day
  const day = async () => {
    try {
      const html = await load("/console/desk/day");
      if (html === null) return;
      at("desk-day").innerHTML = html;
      words(at("desk-day"));
    } catch {
      // It comes with the next look.
    }
  };
  const laterDay = () => setTimeout(day, RECORD_MS);

  // Before this script is there a form would be sent as browsers do it.
  for (const button of root.querySelectorAll("#desk-sign-in button, #desk-dial button")) button.disabled = false;
  const phone = at("desk-phone");
  if (phone && !phone.value) phone.value = localStorage.getItem("desk:phone") ?? "";
  apply();
  day();
})();
