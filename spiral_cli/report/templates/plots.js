// Plots name the page's colours, as in "var(--student)"; they are drawn again when its theme changes.
const theme = matchMedia("(prefers-color-scheme: dark)");

function draw() {
  const colours = getComputedStyle(document.documentElement);
  const coloured = (_, value) =>
    typeof value === "string" && /^var\(--\w+\)$/.test(value) ? colours.getPropertyValue(value.slice(4, -1)).trim() : value;
  const plots = [...document.querySelectorAll(".plot")].map((plot) => {
    const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent, coloured);
    return Plotly.react(plot, data, layout, { displayModeBar: false, responsive: true });
  });
  return Promise.all(plots);
}

// One after the other: each draws on what the one before has left.
let drawn = draw();
theme.addEventListener("change", () => (drawn = drawn.then(draw)));
