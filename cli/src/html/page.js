"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const byId = (id) => document.getElementById(id);
  const store = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* a page from a file may have no storage */ } },
  };

  // Theme: as the system, light, dark.
  const themes = ["system", "light", "dark"];
  const button = byId("theme");
  const show = (theme) => {
    if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = "Theme: " + theme;
  };
  let theme = themes.includes(store.get("gptoss-theme")) ? store.get("gptoss-theme") : "system";
  show(theme);
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    show(theme);
    store.set("gptoss-theme", theme);
  });

  // Fold and unfold everything; a printed page shows everything.
  const folds = document.querySelectorAll("main details");
  const fold = byId("fold");
  if (!folds.length) fold.remove();
  fold.addEventListener("click", () => {
    const open = fold.getAttribute("aria-pressed") !== "true";
    fold.setAttribute("aria-pressed", open);
    fold.textContent = open ? "Fold all" : "Unfold all";
    for (const one of folds) one.open = open;
  });
  addEventListener("beforeprint", () => { for (const one of folds) one.open = true; });
  const reveal = () => {
    const target = location.hash && byId(location.hash.slice(1));
    const around = target && target.querySelector("details");
    if (around) around.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  const list = document.querySelector("nav details");
  const narrow = matchMedia("(max-width: 56rem)");
  const settle = () => { list.open = !narrow.matches; };
  narrow.addEventListener("change", settle);
  settle();

  // Tokens: a text is cut into them when the pointer or the focus first comes to it.
  const data = JSON.parse(byId("data").textContent);
  const tip = byId("tip");
  const split = (element) => {
    if (element.dataset.split) return;
    element.dataset.split = "yes";
    const run = data[element.dataset.run];
    if (!run.lens) return;
    const text = element.textContent;
    const pieces = document.createDocumentFragment();
    let at = 0, from = 0;
    run.lens.forEach((len, token) => {
      if (len === 0 && token + 1 < run.lens.length) return;
      const piece = document.createElement("span");
      piece.className = "t";
      piece.textContent = text.slice(at, at + len);
      piece.dataset.from = from;
      piece.dataset.to = token;
      pieces.append(piece);
      at += len;
      from = token + 1;
    });
    element.replaceChildren(pieces);
  };
  let on = null;
  const point = (piece) => {
    if (on) on.classList.remove("on");
    on = piece;
    if (!piece) { tip.textContent = ""; return; }
    piece.classList.add("on");
    const run = data[piece.parentElement.dataset.run];
    const from = +piece.dataset.from, to = +piece.dataset.to;
    const ids = run.ids.slice(from, to + 1).join(" ");
    const place = from === to ? run.first + from : run.first + from + "–" + (run.first + to);
    const many = from === to ? "" : "s";
    tip.textContent = "token" + many + " " + place + " · id" + many + " " + ids + " · " + JSON.stringify(piece.textContent);
  };
  const textAt = (event) => event.target.closest && event.target.closest("[data-run]");
  document.addEventListener("pointerover", (event) => {
    const element = textAt(event);
    if (!element) { if (on && event.pointerType === "mouse") point(null); return; }
    split(element);
    const piece = event.target.closest(".t");
    if (piece) point(piece);
  });
  document.addEventListener("click", (event) => {
    const element = textAt(event);
    if (!element) return;
    split(element);
    const piece = document.elementFromPoint(event.clientX, event.clientY);
    if (piece && piece.classList.contains("t")) point(piece);
  });
  // With the keyboard: a text takes the focus, the arrows walk over its tokens.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { point(null); return; }
    const element = document.activeElement;
    if (!element || !element.dataset.run || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    split(element);
    if (!element.children.length) return;
    const here = on && on.parentElement === element ? on : null;
    const next = event.key === "ArrowRight"
      ? (here ? here.nextElementSibling : element.firstElementChild)
      : (here ? here.previousElementSibling : element.lastElementChild);
    if (next) { point(next); next.scrollIntoView({ block: "nearest" }); }
    event.preventDefault();
  });
})();
