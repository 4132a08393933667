// A list on its way: a file of any size as it is, with progress; one that breaks off is not loaded at all.
"use strict";
(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";
  const bar = document.getElementById("upload-progress");
  const stop = document.getElementById("upload-stop");
  const told = document.getElementById("upload-told");
  const send = form.querySelector("button.main");
  const say = (text, bad) => {
    told.textContent = text;
    told.className = bad ? "bad" : "good";
  };
  const going = (is) => {
    bar.hidden = !is;
    stop.hidden = !is;
    send.disabled = is;
  };
  let sending = null;
  stop.addEventListener("click", () => sending?.abort());
  addEventListener("beforeunload", (event) => {
    if (sending) event.preventDefault(); // the browser asks whether to leave: the list would have to be sent again
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = form.elements.file.files[0];
    if (!file || sending) return;
    const query = new URLSearchParams({
      name: form.elements.name.value || file.name,
      duplicates: form.elements.refuse.checked ? "refuse" : "report",
    });
    const request = new XMLHttpRequest();
    sending = request;
    request.open("POST", `${form.dataset.upload}?${query}`);
    request.setRequestHeader("Content-Type", "text/csv");
    request.setRequestHeader("X-CSRF-Token", csrf);
    request.upload.addEventListener("progress", (now) => {
      if (now.lengthComputable) bar.value = now.loaded / now.total;
    });
    request.addEventListener("loadend", () => {
      sending = null;
      going(false);
      if (request.status === 202) {
        say(told.dataset.taken, false);
        location.assign(JSON.parse(request.responseText).location);
      } else if (request.status === 401) location.assign("/console/login");
      else if (request.status) say(told.dataset.failed + request.responseText, true);
      else say(told.dataset.broken, true);
    });
    say("", false);
    bar.value = 0;
    going(true);
    request.send(file);
  });
})();
