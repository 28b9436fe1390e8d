"use strict";
// What both pages share: words, numbers, times, the live connection.
const Scout = (() => {
  const STATUSES = { new: "New", in_progress: "In progress", completed: "Completed", dismissed: "Dismissed", snoozed: "Snoozed", closed: "Closed" };
  const SMALL = new Set(["cvr", "ctr", "dq", "lp", "kgr", "mrr", "ga4", "etl"]);

  const words = (name) => {
    const text = name.split("_").map((part) => (SMALL.has(part) ? part.toUpperCase() : part)).join(" ");
    return text.charAt(0).toUpperCase() + text.slice(1);
  };

  const money = (amount, currency) => {
    if (amount === null || amount === undefined) return "–";
    const digits = Math.abs(amount) >= 10 || Number.isInteger(amount) ? 0 : 2;
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    try {
      return new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "narrowSymbol", ...options }).format(amount);
    } catch {
      return `${new Intl.NumberFormat("en", options).format(amount)} ${currency || ""}`.trim();
    }
  };

  const count = (number) => new Intl.NumberFormat("en").format(number);

  // By hand: the same words as the server's, in every browser.
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const short = (date) => `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
  const day = (iso) => {
    const date = new Date(iso.length === 10 ? `${iso}T00:00:00Z` : iso);
    return `${short(date)} ${date.getUTCFullYear()}`;
  };

  const ago = (iso) => {
    const seconds = (Date.now() - new Date(iso).getTime()) / 1000;
    if (seconds < 45) return "just now";
    if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
    if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
    return day(iso);
  };

  // The browser reconnects by itself and gets a snapshot again; only a refusal (a token that has expired) ends it.
  function live(tenant, handlers) {
    const place = document.getElementById("connection");
    const show = (state, text) => {
      place.dataset.state = state;
      place.querySelector(".words").textContent = text;
      place.title = text;
    };
    const source = new EventSource(`/t/${tenant}/events`);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        show("live", "Live");
        handle(JSON.parse(event.data));
      });
    }
    source.addEventListener("unavailable", () => show("lost", "Reconnecting"));
    source.onerror = async () => {
      show("lost", "Reconnecting");
      if (source.readyState !== EventSource.CLOSED) return;
      show("lost", "Signed out");
      const response = await fetch(location.pathname, { headers: { accept: "application/json" } }).catch(() => null);
      if (response && response.status === 401) location.reload();
      else setTimeout(() => live(tenant, handlers), 5000);
    };
  }

  async function decide(tenant, id, decision) {
    const response = await fetch(`/t/${tenant}/opportunities/${id}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(decision),
    });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.detail || `the server answered ${response.status}`);
    return answer;
  }

  function fillStatuses(select, status) {
    // `closed` is set by the system alone: it is offered only where it is what is.
    const names = Object.keys(STATUSES).filter((name) => name !== "closed" || status === "closed");
    select.replaceChildren(...names.map((name) => new Option(STATUSES[name], name, false, name === status)));
  }

  return { STATUSES, words, money, count, day, short, ago, live, decide, fillStatuses };
})();
