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

  // ---- a session that ended in mid-form: through the sign-in page back to the form
  if (!signedIn) {
    const form = take("form");
    if (form) kept.setItem("back", form);
    return;
  }
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
  });
  if (!form) return;

  // ---- the form itself
  const { draft: path, who } = form.dataset;
  const key = `draft:${path}`;
  const keep = () => {
    const fields = [...new FormData(form)].filter(([name, value]) => name !== "csrf" && typeof value === "string");
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
