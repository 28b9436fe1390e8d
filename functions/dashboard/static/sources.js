"use strict";
// The tenant's sources: how each stands, what to do about it, and what of its rows came how far.
const Sources = (() => {
  const { words, count, day, ago } = Scout;
  const { tenant } = document.body.dataset;
  const at = (id) => document.getElementById(id);
  // The name of a collection is no word of a sentence.
  const capital = (text) => (/^[a-z]+[ ,.]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text);
  const STATES = { connected: "Connected", refused: "Credentials refused", failing: "Failing", incomplete: "Settings missing", new: "Not asked yet" };
  const FEW = 3;
  const LEDGER = ["reported", "written", "unchanged", "arrived", "refused", "lost"];
  const BY_DAY = ["written", "unchanged", "arrived", "refused", "lost", "aggregated"];

  const cells = new Map();
  let all = [];
  let opened = "";
  let testing = "";
  let days = null;

  const make = (tag, className, text) => Object.assign(document.createElement(tag), { className, textContent: text });
  // Null until the ETL has looked, unless the source itself came short.
  const lost = (entry) => {
    const withheld = Math.max(entry.short, entry.unwritten);
    return entry.missing === null ? withheld || null : withheld + entry.missing + entry.unaggregated;
  };
  const wrong = (entry) => Boolean(lost(entry) || entry.refused || entry.failed);
  const many = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
  const find = (name) => all.find((source) => source.name === name);

  function said(source) {
    if (source.sync) return source.sync.status === "requested" && !source.sync.done ? "Waiting" : many(source.sync.done, "document");
    if (source.check) return "Testing";
    if (!source.troubles.length || source.state !== "connected") return STATES[source.state];
    const rows = source.ledger.reduce((sum, entry) => sum + lost(entry), 0);
    if (rows) return `${many(rows, "row")} lost`;
    const refused = source.ledger.reduce((sum, entry) => sum + (entry.refused || 0), 0);
    return refused ? `${many(refused, "document")} refused` : "Not all came";
  }

  function when(source) {
    if (source.sync) return source.sync.step || "A sync";
    return source.synced_at ? `synced ${ago(source.synced_at)}` : "never synced";
  }

  const lamp = (source) => (source.sync || source.check ? "running" : source.troubles.length ? "failed" : source.state === "connected" ? "done" : "");

  function drawCell(source) {
    let cell = cells.get(source.name);
    if (!cell) {
      cell = document.createElement("li");
      const open = make("button", "open", "");
      open.type = "button";
      open.setAttribute("aria-controls", "source");
      open.append(make("span", "name", source.title), make("span", "said", ""), make("span", "when", ""));
      open.addEventListener("click", () => show(opened === source.name ? "" : source.name));
      cell.append(open);
      cells.set(source.name, cell);
    }
    cell.dataset.state = lamp(source);
    cell.querySelector(".said").textContent = said(source);
    cell.querySelector(".when").textContent = when(source);
    cell.querySelector(".open").setAttribute("aria-expanded", String(opened === source.name));
    return cell;
  }

  // Announced by screen readers: replaced only where it says something else.
  function drawTroubles() {
    const place = at("troubles");
    const shown = JSON.stringify(all.map((source) => [source.title, source.since, source.troubles]));
    if (place.dataset.shown === shown) return;
    place.dataset.shown = shown;
    place.replaceChildren(
      ...all.filter((source) => source.troubles.length).map((source) => {
        const notice = document.createElement("li");
        const text = document.createElement("div");
        const since = ["refused", "failing"].includes(source.state) ? `, since ${day(source.since)}` : "";
        text.append(make("strong", "", `${source.title}${since}`));
        for (const [index, { what, do: next }] of source.troubles.slice(0, FEW).entries()) {
          const line = make("p", "", `${capital(what)}. `);
          text.append(line);
          // Said once of what has the same remedy.
          if (source.troubles[index + 1]?.do === next && index + 1 < FEW) continue;
          // What is to be typed stands between backticks.
          const parts = next.split("`").map((part, index) => (index % 2 ? make("code", "", part) : part));
          const advice = make("span", "do", "");
          advice.append(...parts);
          line.append(advice);
        }
        if (source.troubles.length > FEW) text.append(make("p", "", `And ${count(source.troubles.length - FEW)} more, in its ledger.`));
        const open = make("button", "link", "Show");
        open.type = "button";
        open.setAttribute("aria-label", `Show ${source.title}`);
        open.addEventListener("click", () => {
          show(source.name);
          at("source").scrollIntoView({ block: "nearest" });
          at("source").focus();
        });
        notice.append(text, open);
        return notice;
      }),
    );
  }

  function fillRow(row, title, entry, columns) {
    const head = document.createElement("th");
    head.scope = "row";
    head.append(title);
    if (entry.failed) head.append(make("span", "bad", capital(entry.failed)));
    else if (entry.complete === false) head.append(make("span", "note", "Not all pages came yet"));
    row.append(head);
    for (const column of columns) {
      const value = column === "lost" && entry.lost === undefined ? lost(entry) : entry[column];
      const bad = value && (column === "lost" || column === "refused");
      row.append(make("td", bad ? "bad" : "", value === null || value === undefined ? "–" : count(value)));
    }
    return row;
  }

  function drawLedger(source) {
    at("ledger").querySelector("caption span").textContent = source.counted_at ? `the newest sync, ${ago(source.counted_at)}` : "";
    at("ledger").hidden = !source.ledger.length;
    at("no-ledger").hidden = Boolean(source.ledger.length);
    at("ledger").tBodies[0].replaceChildren(
      ...source.ledger.map((entry) => {
        const row = document.createElement("tr");
        if (wrong(entry)) row.className = "wrong";
        return fillRow(row, make("span", "mono", entry.collection), entry, LEDGER);
      }),
    );
  }

  function drawDays() {
    const held = days && days.source === opened ? days.days : {};
    const select = at("day-collection");
    const names = Object.keys(held).sort();
    const picked = names.includes(select.value) ? select.value : names.find((name) => held[name].some((one) => one.lost || one.refused)) || names[0];
    select.replaceChildren(...names.map((name) => new Option(name, name, false, name === picked)));
    at("by-day").hidden = !names.length;
    at("day-table").tBodies[0].replaceChildren(...(held[picked] || []).map((one) => fillRow(document.createElement("tr"), make("span", "day", day(one.date)), one, BY_DAY)));
    const unmapped = days && days.source === opened ? days.unmapped : [];
    const shares = unmapped.map((one) => `${words(one.subject).toLowerCase()} ${count(one.unmapped)} of ${count(one.aliases)} (${Math.round((100 * one.unmapped) / (one.aliases || 1))} %)`);
    at("unmapped").hidden = !shares.length;
    at("unmapped").textContent = `Known to no other source: ${shares.join(", ")}.`;
  }

  async function loadDays(name) {
    const response = await fetch(`/t/${tenant}/sources/${name}/days`).catch(() => null);
    if (!response || !response.ok || opened !== name) return;
    days = { source: name, ...(await response.json()) };
    drawDays();
  }

  function drawDetail() {
    const source = find(opened);
    at("source").hidden = !source;
    if (!source) return;
    at("source-title").textContent = source.title;
    at("source-state").textContent = `${STATES[source.state]}${source.since ? ` since ${day(source.since)}` : ""}`;
    at("source-state").dataset.state = source.state;
    at("source-account").textContent = source.account || "Not asked yet";
    at("source-synced").textContent = source.synced_at ? `${ago(source.synced_at)} (${day(source.synced_at)})` : "Never";
    at("source-sync").disabled = Boolean(source.sync) || source.state === "incomplete";
    at("source-sync").textContent = source.sync ? "Syncing" : "Sync";
    at("source-check").disabled = Boolean(source.check) || source.state === "incomplete";
    at("source-check").textContent = source.check ? "Testing" : "Test connection";
    drawLedger(source);
  }

  function show(name) {
    opened = name;
    testing = "";
    at("source-said").textContent = "";
    draw(all);
    drawDays();
    if (name) loadDays(name);
  }

  // What a pressed test came to: told once its run has ended.
  function tell() {
    const source = testing && find(testing);
    if (!source || source.check) return;
    testing = "";
    const ended = source.state === "connected" ? `It answers: ${source.account || "connected"}.` : `It does not: ${source.troubles.length ? source.troubles[0].what : STATES[source.state]}.`;
    at("source-said").textContent = ended;
  }

  async function press(what) {
    const name = opened;
    at(`source-${what}`).disabled = true;
    at("source-said").textContent = "";
    const response = await fetch(`/t/${tenant}/sources/${name}/${what}`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" }).catch(() => null);
    const answer = response ? await response.json().catch(() => ({})) : { detail: "the server did not answer" };
    if (response && response.ok) {
      if (what === "check") testing = name;
      draw(answer);
    } else {
      at("source-said").textContent = `That did not work: ${answer.detail || `the server answered ${response.status}`}.`;
      drawDetail();
    }
  }

  function draw(found) {
    const before = find(opened);
    all = found;
    at("sources-section").hidden = !all.length;
    const wanted = all.map(drawCell);
    if (wanted.length !== at("sources").children.length || wanted.some((cell, index) => at("sources").children[index] !== cell)) at("sources").replaceChildren(...wanted);
    drawTroubles();
    drawDetail();
    tell();
    const now = find(opened);
    if (before && now && JSON.stringify(before.ledger) !== JSON.stringify(now.ledger) && !now.sync) loadDays(opened);
  }

  at("source-sync").addEventListener("click", () => press("sync"));
  at("source-check").addEventListener("click", () => press("check"));
  at("source-close").addEventListener("click", () => {
    const cell = cells.get(opened);
    show("");
    if (cell) cell.querySelector(".open").focus();
  });
  at("day-collection").addEventListener("change", drawDays);
  setInterval(() => draw(all), 30000);

  return { draw };
})();
