// What htmx does not do: orders to campaigns, charts, the theme, and a word when the connection is lost.
"use strict";
(() => {
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
  for (const time of document.querySelectorAll("time[data-at]")) {
    const at = new Date(1000 * Number(time.dataset.at));
    time.dateTime = at.toISOString();
    time.textContent = at.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
  }

  // ---- charts
  const charts = [];
  const columns = {
    shares: (s) => [s.at, s.occupancy, s.answer_rate],
    abandonment: (s) => [s.at, s.abandonment, s.at.map(() => s.max_abandonment)],
    counts: (s) => [s.at, s.in_flight, s.talking, s.idle],
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const lines = ["--line-1", "--line-2", "--line-3"];

  class Chart {
    constructor(place) {
      this.place = place;
      this.data = null;
      this.plot = null;
    }

    draw() {
      if (!this.data) return;
      this.plot?.destroy();
      const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false } };
      const unit = this.place.dataset.unit;
      const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
      const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
      const value = (_, v) => (v == null ? "–" : `${number.format(v)}${unit && " " + unit}`);
      this.plot = new uPlot(
        {
          width: this.place.clientWidth,
          height: 190,
          cursor: { drag: { x: false, y: false } },
          scales: { y: { range: (_, low, high) => [0, Math.max(1, (high ?? 1) * 1.1)] } },
          axes: [
            { ...axis, values: (_, all) => all.map((v) => clock.format(1000 * v)) },
            { ...axis, size: 56, values: (_, all) => all.map((v) => value(_, v)) },
          ],
          series: [
            { label: box.dataset.time, value: (_, v) => (v == null ? "–" : new Date(1000 * v).toLocaleTimeString(language)) },
            ...JSON.parse(this.place.dataset.labels).map((label, i) => ({
              label,
              value,
              stroke: colour(lines[i]),
              width: 2,
              points: { show: false },
            })),
          ],
        },
        this.data,
        this.place,
      );
    }
  }

  const box = document.querySelector("[data-series]");
  if (box) {
    charts.push(...[...box.querySelectorAll("[data-chart]")].map((place) => new Chart(place)));
    let span = "hour";
    const load = async () => {
      try {
        const answer = await fetch(`${box.dataset.series}?span=${span}`);
        if (!answer.ok) return;
        const series = await answer.json();
        for (const chart of charts) {
          chart.data = columns[chart.place.dataset.chart](series);
          if (chart.plot && chart.plot.width === chart.place.clientWidth) chart.plot.setData(chart.data);
          else chart.draw();
        }
      } catch {
        // The live part says that the connection is lost.
      }
    };
    for (const button of document.querySelectorAll("[data-span]")) {
      button.addEventListener("click", () => {
        span = button.dataset.span;
        for (const other of document.querySelectorAll("[data-span]")) {
          other.setAttribute("aria-pressed", String(other === button));
        }
        load();
      });
    }
    addEventListener("resize", () => charts.forEach((chart) => chart.draw()));
    load();
    setInterval(load, 10_000);
  }
})();
