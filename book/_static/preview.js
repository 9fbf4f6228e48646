// Shows beside a link what it points to, on hovering and on focus; Escape closes it.
// The texts come from `preview-texts.js`, which the extension `previews` writes.
(() => {
  const here = document.currentScript.src;
  const root = new URL("..", here).href;
  const card = document.createElement("div");
  card.id = "preview";
  card.setAttribute("role", "tooltip");
  card.hidden = true;
  let texts, link, timer;

  // A script, since pages on disk may not fetch; on demand, since most links are never asked.
  const load = () =>
    (texts ??= new Promise((done) => {
      const script = document.createElement("script");
      script.src = new URL("preview-texts.js", here);
      script.onload = () => done(window.flowPreviews);
      script.onerror = () => done({});
      document.head.append(script);
    }));

  function place() {
    if (card.hidden) return;
    const edge = 8;
    const at = link.getClientRects()[0] ?? link.getBoundingClientRect();
    const { clientWidth: width, clientHeight: height } = document.documentElement;
    const below = at.bottom + edge + card.offsetHeight <= height || at.top < card.offsetHeight + edge;
    const left = Math.max(edge, Math.min(at.left, width - card.offsetWidth - edge));
    card.style.left = `${left + scrollX}px`;
    card.style.top = `${scrollY + (below ? at.bottom + edge : at.top - edge - card.offsetHeight)}px`;
  }

  async function show(wanted) {
    link = wanted;
    const text = (await load())[decodeURIComponent(wanted.href.replace(root, ""))];
    if (!text || link !== wanted) return;
    wanted.removeAttribute("title"); // the browser's own note would say it twice
    window.MathJax?.typesetClear?.([card]);
    card.innerHTML = text;
    card.hidden = false;
    wanted.setAttribute("aria-describedby", card.id);
    place();
    await window.MathJax?.startup?.promise;
    await window.MathJax?.typesetPromise?.([card]);
  }

  function hide() {
    clearTimeout(timer);
    link?.removeAttribute("aria-describedby");
    link = undefined;
    card.hidden = true;
  }

  const soon = (action) => {
    clearTimeout(timer);
    timer = setTimeout(action, 200);
  };

  document.body.append(card);
  new ResizeObserver(place).observe(card); // formulas arrive later than their card
  card.addEventListener("mouseenter", () => clearTimeout(timer));
  card.addEventListener("mouseleave", () => soon(hide));
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  for (const each of document.querySelectorAll("article a.reference.internal[href*='#']")) {
    const start = () => link !== each && (hide(), show(each));
    each.addEventListener("mouseenter", () => soon(start));
    each.addEventListener("mouseleave", () => soon(hide));
    each.addEventListener("focus", () => each.matches(":focus-visible") && start());
    each.addEventListener("blur", hide);
    each.addEventListener("click", hide);
  }
})();
