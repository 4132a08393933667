// What was typed into a form outlives the session that it was typed in: it is kept in this tab until it is saved.
"use strict";
(() => {
  const kept = (() => {
    try {
      return sessionStorage;
    } catch {
      return null; // Not kept, then.
    }
  })();
  if (!kept) return;
  const signedIn = document.querySelector('meta[name="csrf"]') !== null;
  const drafts = () => Object.keys(kept).filter((key) => key.startsWith("draft:"));
  const take = (key) => {
    const value = kept.getItem(key);
    kept.removeItem(key);
    return value;
  };

  // ---- forms of a few fields: what stood in them when the page was left comes back if it was refused. No secrets.
  const KINDS = /^(text|search|tel|url|email|number|date|time|datetime-local|checkbox|radio|select-one|textarea)$/;
  const small = () => [...document.querySelectorAll('main form[method="post"]:not([data-draft])')];
  const fields = (form) =>
    [...form.elements].filter(
      (each) => each.name && KINDS.test(each.type) && !("kept" in each.dataset) && each.autocomplete !== "one-time-code",
    );
  const ticked = (field) => field.type === "checkbox" || field.type === "radio";
  const value = (field) => (ticked(field) ? field.checked : field.value);
  const changed = (field) => {
    if (ticked(field)) return field.checked !== field.defaultChecked;
    if (field.type !== "select-one") return field.value !== field.defaultValue;
    return field.value !== ([...field.options].find((each) => each.defaultSelected) ?? field.options[0])?.value;
  };
  const whose = () => document.querySelector('meta[name="who"]')?.content;
  const here = () => document.getElementById("content").dataset.home ?? location.pathname + location.search;
  const refused = () => {
    const typed = JSON.parse(kept.getItem("typed") ?? "null");
    if (typed) kept.setItem("typed", JSON.stringify({ ...typed, refused: true }));
  };
  const again = (typed) => {
    if (!typed.refused || typed.who !== whose() || typed.page !== here()) return;
    let first = null;
    for (const { action, values } of typed.forms) {
      const form = small().find((each) => each.getAttribute("action") === action);
      if (!form) continue;
      fields(form).forEach((field, place) => {
        const [name, before] = values[place] ?? [];
        if (name !== field.name || before === value(field)) return;
        if (ticked(field)) field.checked = before;
        else field.value = before;
        const closed = field.closest("details");
        if (closed) closed.open = true;
        first ??= field;
      });
    }
    if (!first) return;
    const told = document.getElementById("told");
    told.textContent = told.dataset.again;
    told.hidden = false;
    first.focus();
  };

  // ---- a session that ended in mid-form: through the sign-in page back to the form
  if (!signedIn) {
    const form = take("form");
    if (form) kept.setItem("back", form);
    refused();
    const { page } = JSON.parse(kept.getItem("typed") ?? "{}");
    const then = document.querySelector("form [name=then]");
    if (page && then) then.value = page;
    return;
  }
  if (document.querySelector("[data-problem]")) refused();
  else again(JSON.parse(take("typed") ?? "{}"));
  let sent = null;
  let over = false;
  document.addEventListener("submit", (event) => {
    if (!event.defaultPrevented) sent = event.target;
  });
  addEventListener("pagehide", () => {
    if (over || document.querySelector("[data-problem]")) return;
    const forms = small().filter((form) => form === sent || fields(form).some(changed)).map((form) => ({
      action: form.getAttribute("action"),
      values: fields(form).map((field) => [field.name, value(field)]),
    }));
    try {
      kept.setItem("typed", JSON.stringify({ who: whose(), page: here(), forms }));
    } catch {
      // Full: what is typed is only on the page.
    }
  });

  const saved = document.querySelector("[data-saved]");
  const left = take("form");
  if (saved && left) kept.removeItem(`draft:${left}`);
  const back = take("back");
  const form = document.querySelector("form[data-draft]");
  if (back && form?.dataset.draft !== back) {
    location.replace(back);
    return;
  }

  document.querySelector('form[action="/console/logout"]')?.addEventListener("submit", () => {
    for (const key of drafts()) kept.removeItem(key);
    over = true;
  });
  if (!form) return;

  // ---- the form itself
  const { draft: path, who } = form.dataset;
  const key = `draft:${path}`;
  const keep = () => {
    // A record that is tried out is somebody's: it stays on the page.
    const fields = [...new FormData(form)].filter(
      ([name, value]) => !["csrf", "try_sample"].includes(name) && typeof value === "string",
    );
    try {
      kept.setItem(key, JSON.stringify({ who, fields }));
    } catch {
      // Full: what is typed is only on the page.
    }
  };
  form.addEventListener("input", keep);
  form.addEventListener("change", keep);
  form.addEventListener("submit", () => {
    keep();
    kept.setItem("form", path);
  });
  for (const link of document.querySelectorAll("[data-discard]")) {
    link.addEventListener("click", () => kept.removeItem(key));
  }
  document.addEventListener("htmx:response:error", (event) => {
    if (event.detail?.ctx?.response?.status !== 401) return;
    keep();
    kept.setItem("form", path);
    location.assign("/console/login");
  });

  if (form.dataset.focus) document.getElementById(form.dataset.focus)?.focus();

  // A page of what is on record, and something was typed before: the server shows that again, with all its rows.
  const before = "fresh" in form.dataset ? JSON.parse(kept.getItem(key) ?? "null") : null;
  if (before?.who === who) {
    const again = document.createElement("form");
    again.method = "post";
    again.action = path;
    again.hidden = true;
    const fields = [...before.fields, ["csrf", form.elements.csrf.value], ["again", "1"]];
    for (const [name, value] of fields) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = name;
      field.value = value;
      again.append(field);
    }
    document.body.append(again);
    again.submit();
  }

  // ---- what the server says beside a field belongs to the field
  document.addEventListener("htmx:after:swap", () => {
    for (const field of form.querySelectorAll("[aria-describedby]")) {
      const says = field.getAttribute("aria-describedby").split(" ").map((id) => document.getElementById(id));
      const wrong = says.some((one) => one?.classList.contains("problem") && one.textContent.trim());
      if (wrong) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  });
})();
