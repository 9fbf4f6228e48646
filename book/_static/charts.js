/* Puts a live chart in the place of each still picture.

   A chart that is too wide for the page is drawn again, with smaller panels; where they would get
   too small, with its panels one below the other if it allows that. The sliders keep their
   places. */
(() => {
  "use strict";

  const OPTIONS = {
    actions: false, defaultStyle: false, mode: "vega-lite", renderer: "svg", tooltip: false,
  };
  const ATTEMPTS = 4;
  const SMALLEST = 0.75; // share of their width to which panels in a row may shrink
  const ROOM_FOR_LEGEND = 0.9; // down to this share a legend keeps its columns at first

  /* Panels in a row, as widths; the rows fill up from the left. */
  const rows = (spec) => {
    const widths = spec.concat.map((panel) => panel.width);
    const length = spec.columns || widths.length;
    return widths.flatMap((_, i) => (i % length ? [] : [widths.slice(i, i + length)]));
  };

  const narrowed = (wide, excess, attempt) => {
    const widest = Math.max(...rows(wide).map((row) => row.reduce((sum, w) => sum + w, 0)));
    const share = Math.max((widest - excess) / widest, 0.2);
    const legend = { ...wide.config.legend, columns: 1 };
    const tight = { ...wide, config: { ...wide.config, legend } };
    if (share < SMALLEST && wide.columns > 1 && wide.usermeta.stack) return { ...tight, columns: 1 };
    const both = !wide.usermeta.stack; // what can't be taken apart keeps its proportions
    const concat = wide.concat.map((panel) => ({
      ...panel,
      width: Math.floor(panel.width * share),
      height: both ? Math.floor(panel.height * share) : panel.height,
    }));
    return { ...(attempt || share < ROOM_FOR_LEGEND ? tight : wide), concat };
  };

  const withValues = (spec, view) => ({
    ...spec,
    params: spec.params.map((p) => (p.bind ? { ...p, value: view.signal(p.name) } : p)),
  });

  /* What the lines above the panels say, for those who do not see them. */
  const announce = (chart, view, spec) => {
    let timer = 0;
    const say = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const text = chart.querySelector(".role-title-text text");
        const lines = text?.querySelectorAll("tspan") ?? [];
        const words = Array.from(lines.length ? lines : [text], (line) => line?.textContent ?? "");
        chart.querySelector(".chart-said").textContent = words.join("; ");
      }, 400);
    };
    spec.params.filter((p) => p.bind).forEach((p) => view.addSignalListener(p.name, say));
  };

  const child = (parent, tag, attributes) => {
    const element = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    parent.append(element);
    return element;
  };

  const make = (chart) => {
    const { $schema, ...original } = JSON.parse(chart.querySelector("script").textContent);
    const name = { role: "group", "aria-label": original.description };
    const live = child(chart, "div", { class: "chart-live", ...name });
    const sliders = child(live, "div", { class: "chart-sliders" });
    const canvas = child(live, "div", { class: "chart-canvas" });
    child(chart, "p", { class: "chart-said", "aria-live": "polite" });

    let result = null;
    let drawnFor = 0;

    const show = async (spec) => {
      if (result) result.finalize();
      sliders.replaceChildren();
      result = await vegaEmbed(canvas, spec, { ...OPTIONS, bind: sliders });
      canvas.setAttribute("aria-hidden", "true"); // its words are announced, its shapes are not
      return canvas.querySelector("svg").getBoundingClientRect().width - live.clientWidth;
    };

    const draw = async () => {
      if (!chart.clientWidth || chart.clientWidth === drawnFor) return;
      drawnFor = chart.clientWidth;
      let spec = result ? withValues(original, result.view) : original;
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const excess = await show(spec);
        if (excess <= 0) break;
        spec = narrowed(spec, Math.ceil(excess), attempt);
      }
      announce(chart, result.view, spec);
      chart.classList.add("chart-is-live");
    };

    const redraw = () => draw().catch((error) => {
      chart.classList.remove("chart-is-live"); // the still picture stays
      console.error(`${original.description}: ${error}`);
    });
    new ResizeObserver(redraw).observe(chart);
  };

  document.querySelectorAll("div.chart").forEach(make);
})();
