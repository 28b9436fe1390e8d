"use strict";
// Signing in and out. A link that ends in #token=... signs in by itself; the token then leaves the address bar.
(() => {
  const send = (method, body) =>
    fetch("/session", { method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body) });

  async function signIn(token) {
    const response = await send("POST", { token });
    if (response.ok) return null;
    const problem = await response.json().catch(() => ({}));
    return problem.detail || `the server answered ${response.status}`;
  }

  const said = (text) => {
    const place = document.getElementById("sign-in-error");
    if (place) place.textContent = text;
  };

  function takeToken() {
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!given) return;
    history.replaceState(null, "", location.pathname + location.search);
    signIn(given).then((wrong) => (wrong ? said(`That link did not sign you in: ${wrong}.`) : location.reload()));
  }
  takeToken();
  // Such a link opened where the page is already open loads nothing anew.
  addEventListener("hashchange", takeToken);

  const form = document.getElementById("sign-in");
  if (form) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      said("");
      const wrong = await signIn(form.token.value.trim());
      if (wrong) said(`That did not work: ${wrong}.`);
      else location.reload();
    });
  }

  for (const button of document.querySelectorAll("[data-sign-out]")) {
    button.addEventListener("click", async () => {
      await send("DELETE");
      location.assign("/");
    });
  }
})();
