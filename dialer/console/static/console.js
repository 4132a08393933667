// What htmx does not do: orders to campaigns, charts, the theme, and a word when the connection is lost.
"use strict";
(() => {
  const AGAIN_MS = 1_000;
  const told = document.getElementById("told");
  const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";

  const say = (text) => {
    told.textContent = text;
    told.hidden = !text;
  };

  // ---- theme
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // Not kept, then.
    }
    charts.forEach((chart) => chart.draw());
  });

  // ---- live parts
  document.addEventListener("htmx:sse:error", (event) => {
    if (event.detail?.status === 401) location.assign("/console/login");
    else say(told.dataset.lost);
  });
  document.addEventListener("htmx:sse:after:connection", () => say(""));

  // The first connection of a live part is a request like any other, which htmx makes once: told as lost, and made again.
  const again = (part, status) => {
    const stream = part.getAttribute?.("hx-sse:connect");
    if (!stream || part._htmx?.sse) return;
    htmx.trigger(part, "htmx:sse:error", { status });
    setTimeout(() => part.isConnected && htmx.ajax("GET", stream, { source: part }), AGAIN_MS);
  };
  document.addEventListener("htmx:error", ({ target }) => again(target));
  document.addEventListener("htmx:response:error", ({ target, detail }) => {
    const status = detail?.ctx?.response?.status;
    if (status === 401) location.assign("/console/login");
    else if (status >= 500) again(target, status);
  });

  // ---- another language: of the page that one looks at
  document.querySelector("[data-language]").addEventListener("click", ({ currentTarget }) => {
    const asked = document.querySelector("form [name=then]")?.value;
    const here = document.getElementById("content").dataset.home ?? location.pathname + location.search;
    currentTarget.search = new URLSearchParams({ then: asked || here });
  });

  // ---- what is shown once: whoever loads the page again asks for the list, and makes nothing a second time
  if (document.getElementById("made")) history.replaceState(null, "", document.getElementById("content").dataset.home);

  // ---- orders: by delegation, since the buttons come and go with the live part
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-order]");
    if (!button || (button.dataset.sure && !confirm(button.dataset.sure))) return;
    button.disabled = true;
    try {
      const answer = await fetch(button.dataset.order, { method: "POST", headers: { "X-CSRF-Token": csrf } });
      if (answer.status === 401) location.assign("/console/login");
      say(answer.ok ? "" : told.dataset.failed + (await answer.text()));
    } catch {
      say(told.dataset.lost);
    } finally {
      button.disabled = false;
    }
  });

  document.querySelector("[data-print]")?.addEventListener("click", () => print());

  // ---- moments in the visitor's own zone
  // Of the page's language as the visitor's country writes it, where their browser says so.
  const page = document.documentElement.lang;
  const language = navigator.languages.find((each) => each.split("-")[0] === page) ?? page;
  const moments = () => {
    for (const time of document.querySelectorAll("time[data-at]:empty")) {
      const at = new Date(1000 * Number(time.dataset.at));
      time.dateTime = at.toISOString();
      time.textContent = at.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
    }
  };
  moments();

  // ---- charts
  const charts = [];
  const columns = {
    calls: (s) => [s.at, s.dialed, s.answered],
    abandonment: (s) => [s.at, s.abandonment, s.at.map(() => s.max_abandonment)],
    shares: (s) => [s.at, s.occupancy, s.answer_rate],
    counts: (s) => [s.at, s.in_flight, s.talking, s.idle],
  };
  // As the rest of the page has them: blue is talking, green is ready; red is a limit.
  const lines = {
    calls: ["--line-4", "--line-1"],
    abandonment: ["--line-1", "--line-2"],
    shares: ["--line-1", "--line-4"],
    counts: ["--line-4", "--line-1", "--line-3"],
  };
  const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720].map((count) => 60 * count);
  const counts = [1, 10, 100, 1_000, 10_000].flatMap((ten) => [ten, 2 * ten, 5 * ten]);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  class Chart {
    constructor(place) {
      this.place = place;
      this.data = null;
      this.plot = null;
    }

    show(data) {
      this.data = data;
      if (this.plot?.width !== this.place.clientWidth) return this.draw();
      this.plot.setData(data);
      this.latest(this.plot);
    }

    // Where nobody points at a moment, the figures are those of now.
    latest(plot) {
      if (plot.cursor.idx == null) plot.setLegend({ idx: this.data[0].length - 1 }, false);
    }

    draw() {
      if (!this.data || !this.place.clientWidth) return;
      this.plot?.destroy();
      const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false } };
      const { chart, unit } = this.place.dataset;
      const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
      const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
      const value = (_, v) => (v == null ? "–" : `${number.format(v)}${unit && " " + unit}`);
      this.plot = new uPlot(
        {
          width: this.place.clientWidth,
          height: 150,
          cursor: { drag: { x: false, y: false } },
          hooks: { setLegend: [(plot) => this.latest(plot)] },
          scales: { y: { range: (_, low, high) => [0, Math.max(1, (high ?? 1) * 1.1)] } },
          axes: [
            { ...axis, size: 30, space: 60, incrs: minutes, values: (_, all) => all.map((v) => clock.format(1000 * v)) },
            { ...axis, ...(unit ? {} : { incrs: counts }), size: 52, space: 28, values: (_, all) => all.map((v) => value(_, v)) },
          ],
          series: [
            { label: box.dataset.time, value: (_, v) => (v == null ? "–" : new Date(1000 * v).toLocaleTimeString(language)) },
            ...JSON.parse(this.place.dataset.labels).map((label, i) => ({
              label,
              value,
              stroke: colour(lines[chart][i]),
              width: 2,
              dash: lines[chart][i] === "--line-2" ? [6, 4] : undefined,
              points: { show: false },
            })),
          ],
        },
        this.data,
        this.place,
      );
      this.latest(this.plot);
    }
  }

  const SOME = 3; // fewer points are no line
  let box = null;
  let span = "hour";
  const load = async () => {
    try {
      const answer = await fetch(`${box.dataset.series}?span=${span}`);
      if (!answer.ok) return;
      const series = await answer.json();
      box.querySelector("[data-empty]").hidden = series.at.length >= SOME;
      box.querySelector(".charts").hidden = series.at.length < SOME;
      for (const chart of charts) chart.show(columns[chart.place.dataset.chart](series));
    } catch {
      // The live part says that the connection is lost.
    }
  };
  const choose = (button) => {
    span = button.dataset.span;
    for (const other of box.querySelectorAll("[data-span]")) other.setAttribute("aria-pressed", String(other === button));
    load();
  };
  // They may come with a live part, once.
  const begin = () => {
    box = document.querySelector("[data-series]");
    if (!box) return;
    charts.push(...[...box.querySelectorAll("[data-chart]")].map((place) => new Chart(place)));
    for (const button of box.querySelectorAll("[data-span]")) button.addEventListener("click", () => choose(button));
    addEventListener("resize", () => charts.forEach((chart) => chart.draw()));
    load();
    setInterval(load, 10_000);
  };
  begin();
  document.addEventListener("htmx:after:swap", () => {
    moments();
    if (!box) begin();
  });
})();
