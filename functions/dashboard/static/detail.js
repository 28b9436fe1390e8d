"use strict";
(() => {
  const { money, count, day, short, live, decide, fillStatuses } = Scout;
  const { tenant, opportunity, currency, asOf } = document.body.dataset;
  const at = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const WINDOWS = ["--window-0", "--window-1"];
  const HEIGHT = 190;

  // --- the decision ---
  const form = at("decision");
  const status = at("decision-status");
  const note = at("decision-note");
  const until = at("decision-until");
  const save = form.querySelector("button");
  let held = { status: status.dataset.status, note: note.value, until: until.value };

  const snoozes = () => status.value === "snoozed" && (status.value !== held.status || until.value !== held.until);
  const edited = () => status.value !== held.status || note.value !== held.note || snoozes();
  const look = () => {
    const snoozed = status.value === "snoozed";
    at("decision-snooze").hidden = !snoozed;
    until.required = snoozes();
    save.disabled = !edited() || (snoozes() && !until.value);
  };
  const show = () => {
    fillStatuses(status, held.status);
    note.value = held.note;
    until.value = held.until;
    look();
  };
  for (const field of [status, note, until]) field.addEventListener("input", look);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const decision = {};
    if (status.value !== held.status || snoozes()) decision.status = status.value;
    if (snoozes()) decision.snoozed_until = until.value;
    if (note.value !== held.note) decision.note = note.value || null;
    save.disabled = true;
    try {
      const card = await decide(tenant, opportunity, decision);
      held = said(card);
      at("decision-said").textContent = "Saved";
      show();
    } catch (error) {
      at("decision-said").textContent = `Not saved: ${error.message}`;
      save.disabled = false;
    }
  });

  const said = (card) => ({ status: card.status, note: card.note || "", until: card.snoozed_until || "" });

  function heard(card) {
    if (card.id !== opportunity) return;
    at("newer").hidden = !(card.as_of && asOf && card.as_of > asOf);
    const now = said(card);
    if (now.status === held.status && now.note === held.note && now.until === held.until) return;
    // What somebody is typing here is not taken away by what somebody else saved meanwhile.
    const typing = edited();
    held = now;
    if (typing) look();
    else show();
    at("decision-said").textContent = typing ? "Somebody else has just changed this" : "Changed just now";
  }

  show();
  at("reload").addEventListener("click", () => location.reload());
  live(tenant, { snapshot: (all) => all.forEach(heard), change: heard });

  // --- the plots ---
  const format = {
    rate: (value) => `${(value * 100).toFixed(value < 0.1 ? 2 : 1)} %`,
    money: (value) => money(value, currency),
    count: (value) => count(Math.round(value * 100) / 100),
  };
  // Axis labels share one number of decimals, whatever the step.
  const ticks = {
    rate: (values, step) => values.map((value) => `${(value * 100).toFixed(step < 0.01 ? (step < 0.001 ? 2 : 1) : 0)} %`),
    money: (values) => values.map((value) => money(value, currency)),
    count: (values) => values.map((value) => count(value)),
  };

  const tick = (seconds) => short(new Date(seconds * 1000));

  const element = (tag, className, text) => Object.assign(document.createElement(tag), { className, textContent: text || "" });

  function shade(plot, windows) {
    const { ctx, bbox } = plot;
    ctx.save();
    windows.forEach((window, index) => {
      const left = plot.valToPos(window.from - 43200, "x", true);
      const right = plot.valToPos(window.to + 43200, "x", true);
      const from = Math.max(left, bbox.left);
      ctx.fillStyle = colour(WINDOWS[index % 2]);
      ctx.fillRect(from, bbox.top, Math.min(right, bbox.left + bbox.width) - from, bbox.height);
    });
    ctx.restore();
  }

  function draw(place, data) {
    const days = data.days.map((one) => Date.parse(`${one}T00:00:00Z`) / 1000);
    const windows = data.windows.map((one) => ({ ...one, from: Date.parse(`${one.first}T00:00:00Z`) / 1000, to: Date.parse(`${one.last}T00:00:00Z`) / 1000 }));
    const drawn = [];
    const sync = uPlot.sync("days");
    place.replaceChildren(
      ...data.plots.map((series) => {
        const figure = element("figure", "plot");
        const head = element("figcaption", "plot-head");
        const reading = element("span", "at");
        head.append(element("span", "name", series.label), reading);
        const canvas = element("div", "canvas");
        canvas.setAttribute("role", "img");
        const known = series.values.filter((value) => value !== null);
        const known_days = data.days.filter((_, index) => series.values[index] !== null);
        canvas.setAttribute("aria-label", `${series.label} by day from ${day(data.days[0])} to ${day(data.days.at(-1))}: between ${format[series.unit](Math.min(...known))} and ${format[series.unit](Math.max(...known))}`);
        const rest = known_days.length ? `${day(known_days.at(-1))}: ${format[series.unit](known.at(-1))}` : "";
        reading.textContent = rest;
        figure.append(head, canvas);
        drawn.push({ canvas, series, reading, rest });
        return figure;
      }),
      legend(windows),
    );
    return drawn.map(({ canvas, series, reading, rest }) => {
      const axis = { stroke: colour("--muted"), font: `12px ${colour("--sans")}`, ticks: { show: false } };
      return new uPlot(
        {
          width: canvas.clientWidth,
          height: HEIGHT,
          tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
          legend: { show: false },
          padding: [8, 8, 0, 0],
          cursor: { y: false, sync: { key: sync.key }, drag: { x: false, y: false }, points: { size: 7 } },
          scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
          axes: [
            { ...axis, grid: { show: false }, space: 64, size: 30, gap: 8, values: (_, all) => all.map(tick), incrs: [1, 7, 14, 28, 56, 91, 182].map((days) => days * 86400) },
            { ...axis, grid: { stroke: colour("--grid"), width: 1 }, size: 58, space: 32, values: (_, all, __, ___, step) => ticks[series.unit](all, step) },
          ],
          series: [{}, { stroke: colour("--plot"), width: 1.75, points: { show: false }, spanGaps: false }],
          hooks: {
            drawClear: [(plot) => shade(plot, windows)],
            setCursor: [
              (plot) => {
                const { idx } = plot.cursor;
                const value = idx === null || idx === undefined ? undefined : plot.data[1][idx];
                reading.textContent = value === undefined ? rest : `${day(data.days[idx])}: ${value === null ? "not measured" : format[series.unit](value)}`;
              },
            ],
          },
        },
        [days, series.values],
        canvas,
      );
    });
  }

  function legend(windows) {
    const place = element("p", "legend");
    windows.forEach((window, index) => {
      const entry = element("span", "");
      const swatch = element("span", "swatch");
      swatch.dataset.window = String(index % 2);
      entry.append(swatch, `${window.name}, ${day(window.first)} to ${day(window.last)}`);
      place.append(entry);
    });
    return place;
  }

  async function plots() {
    const place = at("plots");
    const say = (text) => place.replaceChildren(element("p", "muted", text));
    try {
      const response = await fetch(`/t/${tenant}/opportunities/${opportunity}/series`);
      if (!response.ok) throw new Error(String(response.status));
      const data = await response.json();
      if (!data.plots.length) return say("No daily figures are kept of this entity.");
      let made = draw(place, data);
      const again = () => {
        made.forEach((plot) => plot.destroy());
        made = draw(place, data);
      };
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
      new ResizeObserver(() => made.forEach((plot) => plot.setSize({ width: plot.root.parentElement.clientWidth, height: HEIGHT }))).observe(place);
    } catch {
      say("The figures cannot be loaded at the moment. Everything else on this page is complete.");
    } finally {
      place.setAttribute("aria-busy", "false");
    }
  }
  plots();
})();
