// What an agent decides about whom they are shown. The part comes and goes with the live page, so it is listened to from
// the document; what was refused is told where the page tells everything else.
"use strict";
(() => {
  const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";
  const told = document.getElementById("desk-told");
  const tell = (text) => {
    told.textContent = text;
    told.hidden = !text;
    told.classList.toggle("bad", Boolean(text));
  };
  document.addEventListener("keydown", (event) => {
    // A line ended with Enter is a reason being typed, never a consent.
    if (event.key === "Enter" && event.target.id === "preview-reason") event.preventDefault();
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-preview]")) return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    body.set("answer", event.submitter?.value ?? "");
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      const answer = await fetch(form.dataset.preview, {
        method: "POST",
        headers: { "X-CSRF-Token": csrf, "Content-Type": "application/x-www-form-urlencoded" },
        body,
        signal: AbortSignal.timeout(20_000),
      });
      if (answer.status === 401) return location.assign("/console/login");
      tell(answer.ok ? "" : await answer.text());
      if (answer.ok) form.reset();
    } catch {
      tell(document.getElementById("desk").dataset.offline);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });
})();
