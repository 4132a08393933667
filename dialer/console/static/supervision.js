// The supervisor's own extension, kept in this browser; and orders from the table of agents.
"use strict";
(() => {
  const told = document.getElementById("told");
  const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";
  const NAME = "cadencia-extension";
  const field = document.querySelector("[data-kept=extension]");
  if (!field) return;

  try {
    field.value ||= localStorage.getItem(NAME) ?? "";
    field.addEventListener("change", () => localStorage.setItem(NAME, field.value.trim()));
  } catch {
    // Not kept, then: it is typed each time.
  }

  const say = (text) => {
    told.textContent = text;
    told.hidden = !text;
  };

  // By delegation, since the buttons come and go with the live part.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-attend]");
    if (!button) return;
    if (!field.value.trim() || !field.reportValidity()) {
      field.focus();
      return;
    }
    const agent = button.closest("tr").id.slice("agent-".length);
    button.disabled = true;
    try {
      const answer = await fetch(`/console/agents/${encodeURIComponent(agent)}/monitor`, {
        method: "POST",
        headers: { "X-CSRF-Token": csrf },
        body: new URLSearchParams({ mode: button.dataset.attend, extension: field.value.trim() }),
      });
      if (answer.status === 401) location.assign("/console/login");
      say(answer.ok ? "" : told.dataset.failed + (await answer.text()));
    } catch {
      say(told.dataset.lost);
    } finally {
      button.disabled = false;
    }
  });
})();
