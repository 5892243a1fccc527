// Drawing by hand: SVG as a string. The same as common/svg.py, which explains it.
"use strict";

// Text that is safe within SVG and HTML; control characters, which XML forbids, become U+FFFD.
function escape(text) {
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };
  const unseen = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
  return String(text)
    .replace(unseen, "\ufffd")
    .replace(/[&<>"']/g, (c) => names[c]);
}

function visible(token) {
  return token === " " ? "␣" : token;
}

// How many letters wide a token is: characters of Chinese, Japanese and Korean take the room of two.
function breadth(token) {
  const wide = (point) => PAGE.shape.WIDE.some(([first, last]) => first <= point && point <= last);
  return sum([...token].map((c) => (wide(c.codePointAt(0)) ? 2 : 1)));
}

function clipped(token, letters = 24) {
  const all = [...token];
  return visible(all.length <= letters ? token : all.slice(0, letters - 1).join("") + "…");
}

// A text in quotation marks as the end of a sentence.
function quoted(text) {
  return closed(text, `“${text}”`);
}

// What is said of a text, with a period, unless the text ends a sentence itself.
function closed(text, said = text) {
  return said + (/[.?!]$/.test(text) ? "" : ".");
}

// The lines of a text, each of at most `width` letters, see `breadth`; a longer word is cut.
function wrap(text, width) {
  const fill = "\ue000"; // beside each letter that takes the room of two; no text holds it
  const wide = [...text].map((letter) => letter + fill.repeat(breadth(letter) - 1)).join("");
  const chunks = wide.split(/( +)/).filter((chunk) => chunk);
  const blank = (chunk) => chunk.trim() === "";
  const lines = [];
  while (chunks.length) {
    const line = [];
    let length = 0;
    if (blank(chunks[0]) && lines.length) chunks.shift();
    while (chunks.length && length + [...chunks[0]].length <= width) {
      length += [...chunks[0]].length;
      line.push(chunks.shift());
    }
    if (chunks.length && [...chunks[0]].length > width) {
      const letters = [...chunks[0]];
      line.push(letters.slice(0, width - length).join(""));
      chunks[0] = letters.slice(width - length).join("");
    }
    if (line.length && blank(line.at(-1))) line.pop();
    if (line.length) lines.push(line.join("").replaceAll(fill, ""));
  }
  return lines;
}

// A coordinate with at most one decimal.
function place(x) {
  return Number.isInteger(x) ? String(x) : fixed(x, 1).replace(/\.?0+$/, "");
}

function textStyle({ size = 13, anchor = "start", color = PAGE.shape.INK, bold, italic, mono }) {
  return (
    ` fill="${color}"` +
    (size !== 13 ? ` font-size="${size}"` : "") +
    (anchor !== "start" ? ` text-anchor="${anchor}"` : "") +
    (bold ? ' font-weight="bold"' : "") +
    (italic ? ' font-style="italic"' : "") +
    (mono ? ` font-family="${PAGE.shape.MONO}"` : "")
  );
}

function stroke(color, width, dash) {
  if (!color) return "";
  return ` stroke="${color}" stroke-width="${place(width)}"` + (dash ? ` stroke-dasharray="${dash}"` : "");
}

class Drawing {
  constructor(width, height, label) {
    Object.assign(this, { width, height, label, parts: [] });
  }

  toString() {
    const [w, h] = [place(this.width), place(this.height)];
    const least = rounded(PAGE.shape.SHRINKS * this.width);
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" role="img" ` +
      `aria-label="${escape(this.label)}" font-family="${PAGE.shape.SANS}" font-size="13" ` +
      `style="--least:${least}px;max-width:100%;height:auto;background:#ffffff">` +
      `<rect width="${w}" height="${h}" fill="#ffffff"/>${this.parts.join("")}</svg>`
    );
  }

  // Whatever `draw` draws is one thing to press; `name` is "step-3" or the like.
  pressed(name, draw) {
    this.parts.push(`<g data-press="${escape(name)}" style="cursor:pointer">`);
    draw();
    this.parts.push("</g>");
  }

  rect(x, y, w, h, { fill = "none", line, width = 1, dash, title } = {}) {
    const head =
      `<rect x="${place(x)}" y="${place(y)}" width="${place(w)}" height="${place(h)}" fill="${fill}"` +
      stroke(line, width, dash);
    this.parts.push(title ? `${head}><title>${escape(title)}</title></rect>` : `${head}/>`);
  }

  text(x, y, text, { rising, ...style } = {}) {
    const turn = rising ? ` transform="rotate(-45 ${place(x)} ${place(y)})"` : "";
    this.parts.push(`<text x="${place(x)}" y="${place(y)}"${turn}${textStyle(style)}>${escape(text)}</text>`);
  }

  // Several pieces on one line, each [text, style].
  words(x, y, pieces) {
    const spans = pieces.map(([text, style]) => `<tspan${textStyle(style)}>${escape(text)}</tspan>`);
    this.parts.push(`<text x="${place(x)}" y="${place(y)}" xml:space="preserve">${spans.join("")}</text>`);
  }

  // A text, broken into lines of at most `columns` characters; returns the y below it.
  lines(x, y, text, columns, style = {}) {
    for (const line of wrap(text, columns)) {
      this.text(x, y, line, style);
      y += 18;
    }
    return y;
  }

  line(x1, y1, x2, y2, color = PAGE.shape.INK) {
    const ends = `x1="${place(x1)}" y1="${place(y1)}" x2="${place(x2)}" y2="${place(y2)}"`;
    this.parts.push(`<line ${ends}${stroke(color, 1)}/>`);
  }
}

// The colors of some weights, with the weights in them.
function drawShades(drawing, x, y, weights) {
  drawing.text(x, y + 13, say("weight"), { size: 11, color: PAGE.shape.MUTED });
  weights.forEach((w, j) => {
    drawing.rect(x + 50 + 44 * j, y, 44, 17, { fill: shade(w), line: PAGE.shape.LINE });
    drawing.text(x + 72 + 44 * j, y + 13, percent(w), { size: 11, anchor: "middle", color: inkOn(w) });
  });
}
