// Plots name the page's colours, as in "var(--student)"; they are drawn again when its theme changes.
const theme = matchMedia("(prefers-color-scheme: dark)");

function draw() {
  const colours = getComputedStyle(document.documentElement);
  const coloured = (_, value) =>
    typeof value === "string" && /^var\(--\w+\)$/.test(value) ? colours.getPropertyValue(value.slice(4, -1)).trim() : value;
  for (const plot of document.querySelectorAll(".plot")) {
    const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent, coloured);
    Plotly.react(plot, data, layout, { displayModeBar: false, responsive: true });
  }
}

draw();
theme.addEventListener("change", draw);
