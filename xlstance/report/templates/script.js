"use strict";
// Difference maps: the cells are filled anew when another arm is chosen. Rules and texts are those of charts/heat.py.
document.documentElement.classList.add("scripted");

function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : (value > 0 ? "+" : "\u2212") + text;
}

for (const view of document.querySelectorAll(".difference-view")) {
  const maps = JSON.parse(view.querySelector("script").textContent);
  const [one, other] = view.querySelectorAll("select");

  const draw = () => {
    const [first, second] = [maps[one.value], maps[other.value]];
    const pairs = Object.keys(first).filter((pair) => pair in second);
    const largest = Math.max(0, ...pairs.map((pair) => 100 * Math.abs(first[pair] - second[pair])));
    const maximum = Math.max(Number(view.dataset.least), Math.ceil(largest));
    const named = `${one.value} minus ${other.value}`;
    view.querySelector(".low").textContent = "\u2212" + maximum;
    view.querySelector(".high").textContent = "+" + maximum;
    view.querySelector(".chosen").textContent = named;
    const chart = view.querySelector("svg.heat");
    chart.setAttribute("aria-label", chart.getAttribute("aria-label").replace(/, .*$/s, ", " + named));
    for (const cell of view.querySelectorAll(".cell")) {
      const pair = cell.dataset.pair;
      const there = pair in first && pair in second;
      const value = there ? 100 * (first[pair] - second[pair]) : 0;
      const share = Math.min(1, Math.abs(value) / maximum);
      const tone = (value >= 0 ? "gain " : "loss ") + (share > 0.5 ? "strong" : "weak");
      cell.setAttribute("class", "cell " + (there ? tone : "blank"));
      cell.style.setProperty("--share", (100 * share).toFixed(1) + "%");
      cell.querySelector("text").textContent = there ? signed(value, 0) : "";
      cell.querySelector("title").textContent =
        pair.replace("->", " \u2192 ") + ": " + (there ? signed(value, 2) : "no value");
    }
  };
  one.addEventListener("change", draw);
  other.addEventListener("change", draw);
}

// The table of contents is open where there is room beside the page, and what a narrow window folds in a wide one.
document.querySelector(".toc details").open = matchMedia("(min-width: 1240px)").matches;
const wide = matchMedia("(min-width: 800px)").matches;
for (const part of document.querySelectorAll("details[data-wide]")) part.open = wide;

// Whoever goes to a folded part wants to see it.
function unfold() {
  const part = document.getElementById(location.hash.slice(1));
  if (part instanceof HTMLDetailsElement) part.open = true;
}
addEventListener("hashchange", unfold);
unfold();

// What is folded stands in print, and is folded again after it.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
});
