// The frontier of a simulated campaign: occupancy over abandonment, a line for each number of agents.
"use strict";
(() => {
  const language = document.documentElement.lang;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let plot = null;

  const draw = () => {
    const place = document.querySelector("[data-frontier]");
    if (!place) return;
    plot?.destroy();
    const [crews, x, y] = [place.dataset.frontier, place.dataset.x, place.dataset.y].map((text) => JSON.parse(text));
    const number = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
    const value = (_, v) => (v == null ? "–" : `${number.format(v)} %`);
    const order = x.map((_, i) => i).sort((a, b) => x[a] - x[b]);
    const sizes = [...new Set(crews)];
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false } };
    plot = new uPlot(
      {
        width: place.clientWidth,
        height: 280,
        cursor: { drag: { x: false, y: false } },
        scales: { x: { time: false } },
        axes: [
          { ...axis, label: place.dataset.abandonment, labelSize: 22, values: (_, all) => all.map((v) => value(_, v)) },
          { ...axis, label: place.dataset.occupancy, labelSize: 22, size: 64, values: (_, all) => all.map((v) => value(_, v)) },
        ],
        series: [
          { label: place.dataset.abandonment, value },
          ...sizes.map((size, i) => ({
            label: place.dataset.agents.replace("#", size),
            value,
            stroke: colour(["--line-1", "--line-2"][i % 2]),
            width: 2,
            spanGaps: true,
            points: { show: true, size: 7 },
          })),
        ],
      },
      [order.map((i) => 100 * x[i]), ...sizes.map((size) => order.map((i) => (crews[i] === size ? 100 * y[i] : null)))],
      place,
    );
  };
  document.addEventListener("htmx:after:swap", draw);
  document.getElementById("theme").addEventListener("click", draw);
  addEventListener("resize", draw);
  draw();
})();
