// Numbers and colors as the notebook's pictures write them (common/svg.py).
"use strict";

// x with a number of decimals. toFixed rounds a tie up; Python rounds it to the even digit, and so does this.
function fixed(x, digits) {
  const size = Math.abs(x);
  let text = size.toFixed(digits);
  const twice = 2 * size * 10 ** digits;
  if (Number.isInteger(twice) && twice % 2 === 1) {
    const exact = size.toFixed(digits + 30);
    const cut = exact.slice(0, -30);
    if (/^50*$/.test(exact.slice(-30)) && "02468".includes(cut.replace(".", "").slice(-1)))
      text = cut.replace(/\.$/, "");
  }
  return (x < 0 || Object.is(x, -0) ? "-" : "") + text;
}

function rounded(x, digits = 0) {
  return Number(fixed(x, digits));
}

// A real minus sign, and none before a zero.
function number(x, digits = 2) {
  const text = fixed(x, digits);
  return (Number(text) === 0 ? text.replace(/^-/, "") : text).replace("-", "−");
}

function percent(x) {
  return `${fixed(100 * x, 0)} %`;
}

// The color of a weight: from white at 0 to dark blue at 1, in steps of 0.01.
function shade(weight) {
  const w = rounded(Math.min(Math.max(weight, 0), 1), 2);
  return "#" + PAGE.shape.DARKEST.map((dark) => rounded(255 + w * (dark - 255)).toString(16).padStart(2, "0")).join("");
}

// The contrast of two colors, 1 to 21 (WCAG 2.2).
function contrast(color, other) {
  const [dark, light] = [color, other].map(luminance).sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(color) {
  const [r, g, b] = [1, 3, 5]
    .map((k) => parseInt(color.slice(k, k + 2), 16) / 255)
    .map((s) => (s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// Black or white, whichever stands out more on the color of a weight.
function inkOn(weight) {
  const ground = shade(weight);
  return contrast("#000000", ground) >= contrast("#ffffff", ground) ? "#000000" : "#ffffff";
}

// The places of some values, the largest first.
function descending(values) {
  return Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a]);
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
