"use strict";
(() => {
  const { STATUSES, words, money, count, ago, live, decide, fillStatuses } = Scout;
  const { tenant, currency } = document.body.dataset;
  const at = (id) => document.getElementById(id);
  const SEVERITIES = ["critical", "high", "medium", "low"];
  const SEGMENTS = [
    ["open", "Open", ["new", "in_progress"]],
    ["snoozed", "Snoozed", ["snoozed"]],
    ["completed", "Completed", ["completed"]],
    ["dismissed", "Dismissed", ["dismissed"]],
    ["closed", "Closed", ["closed"]],
    ["all", "All", Object.keys(STATUSES)],
  ];
  const PICKS = ["severity", "entity_type", "detector", "sort"];
  const KINDS = { sync: "Sync", etl: "Daily metrics", detectors: "Detectors", opportunities: "Opportunities" };
  const ORDER = Object.keys(KINDS);
  const DATA_KINDS = { backfill: "Copy", verify: "Comparison", replay: "Replay" };

  const cards = new Map();
  const rows = new Map();
  let started = false;
  let strip = null;
  let due = false;

  const address = new URLSearchParams(location.search);
  const view = { status: address.get("status") || "open", search: address.get("search") || "" };
  for (const name of PICKS) view[name] = address.get(name) || "";

  function remember() {
    const changed = new URLSearchParams();
    for (const [name, value] of Object.entries(view)) if (value && !(name === "status" && value === "open")) changed.set(name, value);
    history.replaceState(null, "", changed.size ? `?${changed}` : location.pathname);
    draw();
  }

  // Ranked as the server ranks: value x confidence, then severity, then confidence.
  const severity = (card) => (SEVERITIES.indexOf(card.severity) + 5) % 5;
  const orders = {
    "": (a, b) => b.rank - a.rank || severity(a) - severity(b) || b.confidence - a.confidence || (a.id < b.id ? -1 : 1),
    severity: (a, b) => severity(a) - severity(b) || b.rank - a.rank || (a.id < b.id ? -1 : 1),
    newest: (a, b) => (b.detected_at || "").localeCompare(a.detected_at || "") || b.rank - a.rank,
  };

  // An open finding that follows from another's cause is shown under that one.
  const isOpen = (card) => card.status === "new" || card.status === "in_progress";
  const leads = (card) => {
    const lead = card.part_of && isOpen(card) ? cards.get(card.part_of) : null;
    return !lead || lead.status === "closed";
  };

  const passes = (card) => {
    const text = view.search.trim().toLowerCase();
    return (
      PICKS.every((name) => name === "sort" || !view[name] || card[name] === view[name]) &&
      (!text || `${card.title} ${card.entity_id} ${card.recommendation} ${card.note || ""} ${card.parts.map((part) => part.entity_id).join(" ")}`.toLowerCase().includes(text))
    );
  };

  function drawSegments(passing) {
    const place = at("status");
    if (!place.children.length) {
      place.append(
        ...SEGMENTS.map(([key, label]) => {
          const button = document.createElement("button");
          button.type = "button";
          button.dataset.key = key;
          button.append(label, Object.assign(document.createElement("span"), { className: "count" }));
          button.addEventListener("click", () => {
            view.status = key;
            remember();
          });
          return button;
        }),
      );
    }
    for (const [index, [key, , statuses]] of SEGMENTS.entries()) {
      const button = place.children[index];
      button.setAttribute("aria-pressed", String(view.status === key));
      button.querySelector(".count").textContent = started ? count(passing.filter((card) => statuses.includes(card.status)).length) : "";
    }
  }

  function drawPicks() {
    for (const name of ["severity", "entity_type", "detector"]) {
      const select = at(name);
      const held = [...new Set([...cards.values()].map((card) => card[name]))].filter(Boolean);
      held.sort((a, b) => (name === "severity" ? SEVERITIES.indexOf(a) - SEVERITIES.indexOf(b) : a.localeCompare(b)));
      if (view[name] && !held.includes(view[name])) held.push(view[name]);
      const wanted = held.join();
      if (select.dataset.held !== wanted) {
        select.dataset.held = wanted;
        select.replaceChildren(select.options[0], ...held.map((value) => new Option(words(value), value)));
      }
      select.value = view[name];
    }
    at("sort").value = view.sort;
  }

  function drawRow(card) {
    let row = rows.get(card.id);
    if (!row) {
      row = at("row").content.firstElementChild.cloneNode(true);
      row.dataset.id = card.id;
      row.querySelector("select").addEventListener("change", (event) => change(card.id, event.target));
      rows.set(card.id, row);
    }
    const shown = JSON.stringify(card);
    if (row.dataset.shown === shown) return row;
    row.dataset.shown = shown;
    row.dataset.status = card.status;
    const put = (selector, text) => {
      row.querySelector(selector).textContent = text;
    };
    const badge = row.querySelector(".severity");
    badge.textContent = card.severity;
    badge.dataset.severity = card.severity;
    put(".title", card.title);
    row.querySelector(".title").href = `/t/${tenant}/opportunities/${card.id}`;
    put(".kind", words(card.entity_type));
    put(".entity .id", card.entity_id);
    put(".advice", card.recommendation);
    const more = row.querySelector(".parts");
    more.hidden = !card.parts.length;
    const named = card.parts.slice(0, 2).map((part) => `${part.title} (${part.entity_id})`).join(", ");
    more.textContent = card.parts.length ? `Of the same cause: ${named}${card.parts.length > 2 ? ` and ${count(card.parts.length - 2)} more` : ""}` : "";
    const { low, mid, high, reason } = card.value;
    const own = card.value.currency || currency;
    const middle = row.querySelector(".mid");
    middle.classList.toggle("none", mid === null || Boolean(reason));
    if (mid === null || reason) {
      middle.textContent = "No value claimed";
      middle.title = reason || "";
      put(".range", "");
    } else {
      middle.replaceChildren(money(mid, own), Object.assign(document.createElement("span"), { className: "per", textContent: " / month" }));
      put(".range", low === null || high === null ? "" : `${money(low, own)} to ${money(high, own)}`);
    }
    put(".percent", `${Math.round(card.confidence * 100)} % sure`);
    row.querySelector(".fill").setAttribute("width", String(card.confidence * 100));
    const select = row.querySelector("select");
    fillStatuses(select, card.status);
    select.setAttribute("aria-label", `Status of ${card.title}, ${card.entity_id}`);
    put(".when", when(card));
    return row;
  }

  const VERDICTS = { paid: "It paid", did_not_pay: "It did not pay", unclear: "Unclear if it paid" };
  function when(card) {
    if (card.status === "snoozed" && card.snoozed_until) return `until ${Scout.day(card.snoozed_until)}`;
    if (card.status === "completed" && card.verdict) return VERDICTS[card.verdict];
    if (card.status === "completed" && card.completed_at) return `on ${Scout.day(card.completed_at)}`;
    return card.detected_at ? `since ${Scout.day(card.detected_at)}` : "";
  }

  const ahead = (days) => new Date(Date.now() + days * 86400000).toISOString().slice(0, 10);

  function askUntil() {
    const dialog = at("snooze");
    const until = at("snooze-until");
    until.min = ahead(1);
    until.value = "";
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "snooze" ? until.value : ""), { once: true }));
  }
  for (const button of document.querySelectorAll("#snooze [data-days]")) {
    button.addEventListener("click", () => (at("snooze-until").value = ahead(Number(button.dataset.days))));
  }

  async function change(id, select) {
    const before = cards.get(id);
    const decision = { status: select.value };
    if (decision.status === "snoozed") {
      decision.snoozed_until = await askUntil();
      if (!decision.snoozed_until) {
        select.value = before.status;
        return;
      }
    }
    select.disabled = true;
    try {
      const after = await decide(tenant, id, decision);
      cards.set(id, after);
      say(`${after.title}: ${STATUSES[after.status]}`);
    } catch (error) {
      say(`The status was not saved: ${error.message}`);
      rows.get(id).dataset.shown = "";
      cards.set(id, before);
    } finally {
      select.disabled = false;
      plan();
    }
  }

  const say = (text) => {
    at("news").textContent = text;
  };

  function drawStrip() {
    if (!strip) return;
    const cells = [];
    const runs = [...strip.runs].sort((a, b) => (ORDER.indexOf(a.kind) + 9) % 9 - ((ORDER.indexOf(b.kind) + 9) % 9));
    for (const run of runs) {
      const label = KINDS[run.kind] || words(run.kind);
      const part = run.total ? `${count(run.done)} of ${count(run.total)}` : run.done ? count(run.done) : "";
      const said = { requested: "Waiting", failed: `Failed${run.error ? `: ${run.error}` : ""}`, running: part || run.step || "Running", done: outcome(run) }[run.status];
      const found = run.status === "running" ? run.counts.findings : undefined;
      const since = found === undefined ? ago(run.finished_at || run.started_at) : `${count(found)} findings so far`;
      const state = run.status === "requested" ? "" : run.status === "done" && run.counts.leaks ? "failed" : run.status;
      cells.push([label, said, since, state, run.status === "running" && run.total ? run.done / run.total : null]);
    }
    if (strip.arrivals) {
      const { documents, last_day } = strip.arrivals;
      cells.push(["Arrived last", `${count(documents)} documents`, last_day ? `up to ${Scout.day(last_day)}` : ago(strip.arrivals.finished_at), "done"]);
    }
    const aside = strip.dead_letters;
    const reasons = Object.entries(strip.reasons).map(([reason, many]) => `${spoken(reason)} ${count(many)}`);
    cells.push(["Set aside", aside ? `${aside >= 100 ? "99+" : count(aside)} events` : "None", aside ? reasons.join(", ") : "nothing was refused", aside ? "failed" : "done"]);
    fill(at("strip"), cells);
    at("data-section").hidden = !strip.data.length;
    fill(at("data"), strip.data.map(dataCell));
  }

  // InvalidDocument -> invalid document.
  const spoken = (reason) => reason.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

  function dataCell(run) {
    const name = `${DATA_KINDS[run.kind]}${run.subject ? ` of ${run.subject}` : ""}`;
    const part = run.total ? `${count(run.done)} of ${count(run.total)}` : run.done ? count(run.done) : "";
    const found = Object.entries(run.differences ? run.differences.kinds : {}).map(([kind, many]) => `${count(many)} ${kind}`).join(", ");
    const left = found && Object.values(run.differences.kinds).reduce((sum, many) => sum + many, 0) > run.differences.mended;
    const ended = run.kind === "verify" ? (found ? (left ? found : `${count(run.differences.mended)} repaired`) : "No difference") : outcome(run);
    const said = { requested: "Waiting", failed: `Failed${run.error ? `: ${run.error}` : ""}`, running: part || run.step || "Running", done: ended }[run.status];
    const refused = run.counts.refused ? `, ${count(run.counts.refused)} refused` : "";
    const state = run.status === "requested" ? "" : run.status === "done" && (left || refused) ? "failed" : run.status;
    return [name, said + (run.status === "done" && run.kind !== "verify" ? refused : ""), ago(run.finished_at || run.started_at), state, run.status === "running" && run.total ? run.done / run.total : null];
  }

  function fill(place, cells) {
    place.replaceChildren(
      ...cells.map(([name, said, when, state, share]) => {
        const cell = document.createElement("li");
        cell.dataset.state = state;
        cell.title = said;
        for (const [className, text] of [["name", name], ["said", said], ["when", when]]) {
          cell.append(Object.assign(document.createElement("p"), { className, textContent: text }));
        }
        if (typeof share === "number") cell.append(Object.assign(document.createElement("progress"), { max: 1, value: share, ariaLabel: `${name}: ${said}` }));
        return cell;
      }),
    );
  }

  function outcome(run) {
    const { counts } = run;
    // A sync counts by collection.
    if (run.kind === "sync") return `${count(Object.values(counts).reduce((sum, many) => sum + many, 0))} documents`;
    if (run.kind === "etl" && counts.leaks) return `${count(counts.leaks)} ${counts.leaks === 1 ? "leak" : "leaks"}`;
    const first = { opportunities: ["found"], detectors: ["findings", "detectors"], etl: ["days"], backfill: ["added"], replay: ["replayed"] }[run.kind] || [];
    const name = first.find((key) => key in counts) || Object.keys(counts)[0];
    return name === undefined ? "Done" : `${count(counts[name])} ${words(name).toLowerCase()}`;
  }

  function draw() {
    due = false;
    const all = [...cards.values()];
    const open = all.filter((card) => isOpen(card) && leads(card));
    at("open-count").textContent = started ? count(open.length) : "–";
    at("open-worth").textContent = started ? money(Math.round(open.reduce((sum, card) => sum + card.rank, 0)), currency) : "–";
    const passing = all.filter((card) => leads(card) && passes(card));
    drawSegments(passing);
    drawPicks();
    const statuses = (SEGMENTS.find(([key]) => key === view.status) || SEGMENTS[0])[2];
    const shown = passing.filter((card) => statuses.includes(card.status)).sort(orders[view.sort] || orders[""]);
    const list = at("list");
    const wanted = shown.map(drawRow);
    // Rows move only where they must: what a person is pointing at, or has focused, stays put.
    wanted.forEach((row, index) => {
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] || null);
    });
    while (list.children.length > wanted.length) list.lastElementChild.remove();
    list.setAttribute("aria-busy", String(!started));
    drawEmpty(all, shown);
    drawQuality(open);
  }

  // Figures that are themselves in doubt: said first, as they are worth no money and would rank last.
  function drawQuality(open) {
    const doubts = open.filter((card) => card.detector.startsWith("dq_"));
    const place = at("quality");
    place.hidden = !doubts.length || doubts.some((card) => card.detector === view.detector);
    place.querySelector("span").textContent = doubts.length === 1
      ? `${doubts[0].title} (${doubts[0].entity_id}): figures below may be incomplete.`
      : `${count(doubts.length)} findings about the data itself: figures below may be incomplete.`;
    place.querySelector("button").onclick = () => {
      Object.assign(view, { search: "", severity: "", entity_type: "", status: "open", detector: doubts[0].detector });
      at("search").value = "";
      remember();
    };
  }

  function drawEmpty(all, shown) {
    const place = at("empty");
    place.hidden = !started || shown.length > 0;
    const filtered = view.search || ["severity", "entity_type", "detector"].some((name) => view[name]);
    const [title, text] = !all.length
      ? ["Nothing found yet", "Opportunities appear here by themselves as soon as a detector run has found some."]
      : filtered
        ? ["Nothing matches", "No opportunity fits these filters."]
        : view.status === "open"
          ? ["All clear", "Every opportunity has been dealt with. New ones appear here by themselves."]
          : ["None here", "No opportunity has this status."];
    place.querySelector("h2").textContent = title;
    place.querySelector("p").textContent = text;
    at("clear-filters").hidden = !(all.length && filtered);
    document.querySelector(".bar").hidden = started && !all.length;
  }

  const plan = () => {
    if (!due) {
      due = true;
      requestAnimationFrame(draw);
    }
  };

  function freshen(id) {
    requestAnimationFrame(() => {
      const row = rows.get(id);
      if (!row) return;
      row.classList.remove("fresh");
      void row.offsetWidth;
      row.classList.add("fresh");
    });
  }

  at("search").value = view.search;
  at("search").addEventListener("input", (event) => {
    view.search = event.target.value;
    remember();
  });
  for (const name of PICKS) {
    at(name).addEventListener("change", (event) => {
      view[name] = event.target.value;
      remember();
    });
  }
  at("clear-filters").addEventListener("click", () => {
    for (const name of ["search", "severity", "entity_type", "detector"]) view[name] = "";
    at("search").value = "";
    remember();
  });

  live(tenant, {
    snapshot(all) {
      cards.clear();
      for (const card of all) cards.set(card.id, card);
      for (const [id, row] of rows) if (!cards.has(id)) (row.remove(), rows.delete(id));
      started = true;
      plan();
    },
    change(card) {
      const known = cards.has(card.id);
      cards.set(card.id, card);
      plan();
      freshen(card.id);
      if (!known && leads(card)) say(`New opportunity: ${card.title}, ${card.entity_id}`);
    },
    removed({ id }) {
      cards.delete(id);
      rows.get(id)?.remove();
      rows.delete(id);
      plan();
    },
    strip(found) {
      strip = found;
      drawStrip();
    },
    sources: Sources.draw,
  });
  setInterval(drawStrip, 30000);
  draw();
})();
