// Cadencia: the tel: links of a CRM's page become buttons that call for the agent who is signed in. Version 1, no
// dependencies. docs/crm.md says how to include it:
//
//   <script src="https://dialer.example/snippet/v1/cadencia.js" data-agent="ana" data-campaign="winter"
//           data-token="…" defer></script>
//
// Each button says how its call goes on, and tells the page by the event "cadencia:call" ({state, phone, call, message}).
"use strict";
(() => {
  const tag = document.currentScript;
  if (!tag || window.cadencia) return;
  const node = new URL(tag.src).origin;
  const { agent, campaign } = tag.dataset;
  let token = tag.dataset.token ?? "";
  const WORDS = {
    en: {
      call: "Call", asking: "Calling …", dialing: "Dialing …", ringing: "Ringing …", answered: "Answered", connected: "Talking",
      abandoned: "Nobody was free", ended: "Call over", refused: "Not called: ", lost: "Cadencia does not answer", expired: "Load the page again to call",
    },
    es: {
      call: "Llamar", asking: "Llamando …", dialing: "Marcando …", ringing: "Sonando …", answered: "Atendida", connected: "En llamada",
      abandoned: "Sin agente libre", ended: "Llamada terminada", refused: "No se ha llamado: ", lost: "Cadencia no responde", expired: "Recargue la página para llamar",
    },
  };
  const language = (tag.dataset.language ?? document.documentElement.lang ?? "").slice(0, 2);
  const words = WORDS[language] ?? WORDS.en;
  const POLL_MS = 700;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  const ask = async (method, path, body) => {
    const answer = await fetch(`${node}/api/v1${path}`, {
      method,
      mode: "cors",
      credentials: "omit",
      cache: "no-store",
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body && { "Content-Type": "application/json" }),
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    return { status: answer.status, said: await answer.json().catch(() => ({})) };
  };

  // ---- the token is short-lived: another one is asked for in time
  const keep = async () => {
    for (let left = 0; ; ) {
      await pause(Math.max(1_000, left));
      try {
        const { status, said } = await ask("POST", "/snippet/token");
        if (status === 401 || status === 403) return;
        if (status !== 201) throw new Error();
        token = said.token;
        left = 600 * said.expires_in_s;
      } catch {
        left = 5_000;
      }
    }
  };

  // ---- a button
  const shown = new WeakSet();
  const number = (link) => {
    try {
      return decodeURIComponent(link.getAttribute("href").slice(4)).split(";")[0].trim();
    } catch {
      return "";
    }
  };
  const button = (link) => {
    const phone = number(link);
    if (shown.has(link) || !phone) return;
    shown.add(link);
    const made = document.createElement("button");
    made.type = "button";
    made.className = "cadencia-call";
    made.dataset.phone = phone;
    const label = document.createElement("span");
    label.textContent = `☎ ${link.textContent.trim() || phone}`;
    const state = document.createElement("span");
    state.className = "cadencia-state";
    state.setAttribute("role", "status");
    state.style.marginInlineStart = "0.5em";
    made.append(label);
    made.setAttribute("aria-label", `${words.call} ${link.textContent.trim() || phone}`);
    link.hidden = true;
    link.after(made, state);
    made.addEventListener("click", () => call(made, state, phone));
  };
  const tell = (made, state, word, more = {}) => {
    made.dataset.state = word;
    state.textContent = more.message ? `${words[word] ?? ""}${more.message}` : (words[word] ?? word);
    made.dispatchEvent(
      new CustomEvent("cadencia:call", { bubbles: true, detail: { state: word, phone: made.dataset.phone, ...more } }),
    );
  };
  const call = async (made, state, phone) => {
    made.disabled = true;
    tell(made, state, "asking");
    try {
      const { status, said } = await ask("POST", "/calls", { agent, campaign, phone });
      if (status === 401) return tell(made, state, "expired");
      if (status !== 201) return tell(made, state, "refused", { message: said.message ?? String(status), reason: said.details?.reason });
      await follow(made, state, said.call);
    } catch {
      tell(made, state, "lost");
    } finally {
      made.disabled = false;
    }
  };
  const follow = async (made, state, id) => {
    let before = "";
    tell(made, state, "dialing", { call: id });
    for (let missed = 0; missed < 20; ) {
      const { status, said } = await ask("GET", `/snippet/calls/${encodeURIComponent(id)}`).catch(() => ({ status: 0 }));
      if (status === 401) return;
      if (status === 200) {
        missed = 0;
        if (said.state !== before) tell(made, state, said.state, { call: id, outcome: said.outcome });
        before = said.state;
        if (before === "ended") return;
      } else {
        // A call that has just ended may take a moment to be on record.
        missed += 1;
      }
      await pause(POLL_MS);
    }
    if (before !== "ended") tell(made, state, "ended", { call: id });
  };

  // ---- the page, also what comes later
  const look = (root) => {
    if (root.matches?.('a[href^="tel:" i]')) button(root);
    for (const link of root.querySelectorAll?.('a[href^="tel:" i]') ?? []) button(link);
  };
  const begin = () => {
    look(document);
    new MutationObserver((changes) => {
      for (const change of changes) for (const added of change.addedNodes) look(added);
    }).observe(document.body, { childList: true, subtree: true });
  };
  window.cadencia = Object.freeze({ version: 1 });
  if (!agent || !campaign || !token) {
    console.error("cadencia.js: data-agent, data-campaign and data-token are needed");
    return;
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
  keep();
})();
