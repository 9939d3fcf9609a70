// Refreshes the part of the page that is called `live`, every few seconds, until told to pause.
"use strict";

(() => {
  const controls = document.getElementById("live-controls");
  const seconds = Number(controls.dataset.seconds);
  const button = document.createElement("button");
  const status = document.createElement("span");
  let paused = false;

  button.type = "button";
  button.textContent = "Pause live refresh";
  button.setAttribute("aria-pressed", "false");
  status.setAttribute("role", "status");
  controls.append(button, " ", status);

  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
  });

  const say = (text) => {
    if (status.textContent !== text) status.textContent = text;
  };

  const replace = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    const live = document.getElementById("live");
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = new Map([...live.querySelectorAll(".wide")].map((one) => [one.id, one.scrollLeft]));
    live.replaceWith(document.adoptNode(fresh));
    for (const [id, left] of scrolled) document.getElementById(id).scrollLeft = left;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };

  const isBusy = () => {
    const live = document.getElementById("live");
    const selected = document.getSelection();
    const reads = selected && !selected.isCollapsed && selected.containsNode(live, true);
    const onLink = live.contains(document.activeElement) && !document.activeElement.id;
    return paused || document.hidden || reads || onLink;
  };

  const refresh = async () => {
    if (!isBusy()) {
      try {
        const answer = await fetch(location.href, { headers: { "X-Live": "1" }, signal: AbortSignal.timeout(10_000) });
        if (answer.status === 401) return say("Logged out. Load the page again to log in.");
        if (!answer.ok) throw new Error(String(answer.status));
        replace(await answer.text());
        say("");
      } catch {
        say("Not live at the moment; the figures below are old. It is tried again.");
      }
    }
    setTimeout(refresh, seconds * 1000);
  };

  setTimeout(refresh, seconds * 1000);
})();
