// The explorer's picture and its sentences. The same as common/widgets/attention.py, which explains them.
//
// `shown` is { question, answer, confidence, weights, step, gold, name, column, unknown }: two lists of tokens, a
// probability for each token of the answer, a row of weights for each (or null), the step that is lit, a row of
// true and false for each (or null), the model, the place of a token of the question that is lit (or null), and the
// places of those that the model does not know.
"use strict";

// Tokens as running text. Captions with a `write` of their own have it in the chapter's script, too.
function join(tokens) {
  const { marks, separator, write } = PAGE.captions;
  const said = tokens.filter((token) => !marks.includes(token));
  return write ? CHAPTER.write(said) : said.join(separator);
}

function describeAttention({ question, answer, confidence, weights, step, gold, name, column, unknown = [] }) {
  const kind = PAGE.captions.token;
  const words = [
    say("reads", { name, question: join(question), answer: quoted(join(answer)) }),
    say("step_writes", { step, token: visible(answer[step]), sure: percent(confidence[step]) }),
  ];
  if (unknown.length) {
    const places = unknown.map((i) => say("unknown_place", { token: visible(question[i]), kind, place: i }));
    words.splice(1, 0, say("unknown_to_it", { places: places.join(", ") }));
  }
  if (!weights) return [...words, say("no_attention", { kind })];
  const row = weights[step];
  const [first, second] = descending(row);
  const at = (i) => ({ token: visible(question[i]), kind, place: i, weight: percent(row[i]) });
  words.push(say("looks_most", at(first)) + (row[second] >= 0.005 ? say("looks_then", at(second)) : "") + ".");
  if (gold) {
    const source = question.map((_, i) => i).filter((i) => gold[step][i]);
    const text = join(source.map((i) => question[i]));
    const share = percent(sum(source.map((i) => row[i])));
    words.push(
      source.length
        ? say("gold_from", { kind, text, share })
        : say("gold_from_nothing", { why: PAGE.captions.no_source }),
    );
  }
  if (column !== null) {
    const [most] = descending(weights.map((r) => r[column]));
    const lit = { column: visible(question[column]), kind, place: column, step: most };
    words.push(say("column_most", { ...lit, token: visible(answer[most]), weight: percent(weights[most][column]) }));
  }
  return words;
}

// The picture as SVG, `width` pixels wide at least.
function renderAttention(shown, width = PAGE.shape.WIDTH) {
  const { question, answer, weights, step, gold, column, unknown = [] } = shown;
  const { BLUE, GAP, ROW, SENTENCE } = PAGE.shape;
  const words = describeAttention(shown);
  const header = headerLines(shown, width);
  const grid = makeGrid(question, answer, width, 22 * (header.length - 1));
  width = Math.max(width, grid.edge + 14, grid.right + (column === null ? 14 : 54));
  const columns = Math.trunc((width - 28) / SENTENCE);
  const sentences = (weights ? words.slice(1) : words.slice(1, -1)).flatMap((sentence) => wrap(sentence, columns));
  const below = grid.bottom + 26 + 20 * sentences.length;
  const legend = (!weights ? 0 : gold ? 50 : 26) + (unknown.length ? 24 : 0);
  const drawing = new Drawing(width, Math.max(below + legend, grid.bottom + 60), words.join(" "));
  header.forEach((line, k) => drawing.words(14, 28 + 22 * k, line));
  drawQuestion(drawing, grid, shown);
  drawAnswer(drawing, grid, shown);
  if (weights) {
    drawWeights(drawing, grid, shown);
    if (gold) drawGold(drawing, grid, gold);
    if (column !== null) drawColumn(drawing, grid, weights, column);
    const lit = { line: BLUE, width: GAP };
    drawing.rect(grid.left - 1, grid.y(step) - 1, grid.right - grid.left + 2, ROW + 2, lit);
    drawLegend(drawing, below - 8, gold);
  } else {
    const room = Math.trunc((width - grid.left - 22) / SENTENCE);
    drawing.lines(grid.left + 8, grid.top + 60, say("no_attention", { kind: PAGE.captions.token }), room);
  }
  if (unknown.length) drawUnknownLegend(drawing, below + legend - 32);
  sentences.forEach((sentence, k) => drawing.text(14, grid.bottom + 26 + 20 * k, sentence));
  return String(drawing);
}

// Where the heatmap lies: a column for every token of the question, a row for every one of the answer.
function makeGrid(question, answer, width, lower) {
  const { CELL, LETTER, LEFT, TOP, RISING, SLOPE, HEAD, ROW } = PAGE.shape;
  const letters = (tokens) => Math.max(...tokens.map((token) => breadth(clipped(token))));
  const longest = letters(question);
  let column = CELL + LETTER * (longest - 1);
  const left = LEFT + LETTER * (letters(answer) - 1);
  let head = TOP + lower;
  const rising = column > RISING && left + column * question.length > width - 14;
  if (rising) {
    column = RISING;
    head += SLOPE * LETTER * longest - 14;
  }
  const x = (i) => left + column * i;
  const y = (k) => head + HEAD + ROW * k;
  const [right, bottom, top] = [x(question.length), y(answer.length), head + HEAD];
  const ends = question.map((token, i) => x(i + 0.5) + SLOPE * LETTER * breadth(clipped(token)));
  const edge = rising ? Math.max(right, ...ends) : right; // the right end of the labels
  return { left, head, column, rising, x, y, right, bottom, top, edge };
}

// The lines above the picture: an answer that is too long gets lines of its own.
function headerLines({ answer, confidence, name }, width) {
  const { MUTED, ANSWER } = PAGE.shape;
  const written = join(answer.map(visible));
  const [k] = descending(Array.from(confidence, (p) => -p));
  const least = { kind: PAGE.captions.token, place: k, token: visible(answer[k]), sure: percent(confidence[k]) };
  const sure = say("least_sure", least);
  const writes = say("writes", { name });
  if (7 * breadth(`${writes}     ${sure}`) + 12 * breadth(written) <= width - 28)
    return [
      [
        [`${writes}  `, { color: MUTED }],
        [written, { size: 20, bold: true, mono: true }],
        [`   ${sure}`, { color: MUTED }],
      ],
    ];
  const lines = wrap(written, Math.trunc((width - 28) / ANSWER));
  return [
    [[`${writes}   (${sure})`, { color: MUTED }]],
    ...lines.map((line) => [[line, { size: 16, bold: true, mono: true }]]),
  ];
}

// The question, painted with the weights of the step, the larger ones in numbers below.
function drawQuestion(drawing, grid, { question, weights, step, unknown = [] }) {
  const { MUTED, INK, LINE } = PAGE.shape;
  const { marks, token: kind } = PAGE.captions;
  const row = weights ? weights[step] : question.map(() => 0);
  const top = grid.head;
  drawing.text(14, top + 16, say(weights ? "question_and_weights" : "question"));
  drawing.text(14, top + 34, weights ? say("of_step", { step }) : "", { size: 11, color: MUTED });
  question.forEach((token, i) => {
    const w = row[i];
    const x = grid.x(i);
    const middle = x + grid.column / 2;
    const named = say("place", { kind, place: i, token: visible(token) });
    const title = weights && say("place_weight", { place: named, weight: percent(w), step });
    const style = marks.includes(token)
      ? { size: 11, color: grid.rising || w < 0.2 ? MUTED : inkOn(w) }
      : { size: 15, color: grid.rising ? INK : inkOn(w), italic: unknown.includes(i) };
    drawing.pressed(`column-${i + 1}`, () => {
      drawing.rect(x, top, grid.column, 24, { fill: shade(w), line: LINE, title });
      if (grid.rising) drawing.text(middle + 3, top - 5, clipped(token), { mono: true, rising: true, ...style });
      else drawing.text(middle, top + 17, clipped(token), { anchor: "middle", mono: true, ...style });
      if (unknown.includes(i)) drawUnknown(drawing, x, top, grid.column);
      if (w >= 0.005) drawing.text(middle, top + 37, fixed(100 * w, 0), { size: 11, anchor: "middle" });
    });
  });
}

// The frame of a token of the question that the model does not know.
function drawUnknown(drawing, x, y, wide) {
  drawing.rect(x + 2, y + 2, wide - 4, 20, { line: "#ffffff", width: 3 });
  drawing.rect(x + 2, y + 2, wide - 4, 20, { line: PAGE.shape.ORANGE, width: 2, dash: "2 2" });
}

// The answer downward, each token with its confidence as a bar and a number.
function drawAnswer(drawing, grid, { answer, confidence, step }) {
  const { LEFT, ROW, BLUE, MUTED, LINE, INK } = PAGE.shape;
  const wider = grid.left - LEFT; // than for a character
  answer.forEach((token, k) => {
    const y = grid.y(k);
    const p = confidence[k];
    const bold = k === step;
    const quiet = PAGE.captions.marks.includes(token) ? { size: 11, color: MUTED } : { size: 15 };
    drawing.pressed(`step-${k}`, () => {
      drawing.rect(10, y + 1, grid.left - 14, ROW - 2, { fill: bold ? "#e6f1f8" : "#ffffff" });
      if (bold) drawing.text(14, y + 16, "▶", { size: 12, color: BLUE });
      drawing.text(46, y + 16, k, { size: 11, anchor: "end", color: MUTED });
      drawing.text(62 + wider / 2, y + 17, clipped(token), { anchor: "middle", bold, mono: true, ...quiet });
      drawing.rect(78 + wider, y + 6, 48, 10, { fill: "#ffffff", line: LINE });
      drawing.rect(78 + wider, y + 6, 48 * rounded(p, 2), 10, { fill: INK });
      drawing.text(grid.left - 8, y + 16, percent(p), { size: 11, anchor: "end", bold: p < 0.5 });
    });
  });
}

function drawWeights(drawing, grid, { question, answer, weights }) {
  const { ROW, GAP } = PAGE.shape;
  for (let i = 0; i <= question.length; i++) drawing.line(grid.x(i), grid.top, grid.x(i), grid.bottom, "#dcdcdc");
  for (let k = 0; k <= answer.length; k++) drawing.line(grid.left, grid.y(k), grid.right, grid.y(k), "#dcdcdc");
  weights.forEach((row, k) => {
    drawing.pressed(`step-${k}`, () => {
      drawing.rect(grid.left, grid.y(k), grid.right - grid.left, ROW, { fill: "transparent" });
      row.forEach((w, i) => {
        if (w < 0.005) return; // the rest stays white
        const cell = { step: k, token: visible(answer[k]), weight: percent(w), source: visible(question[i]) };
        const box = [grid.x(i) + GAP, grid.y(k) + GAP, grid.column - 2 * GAP, ROW - 2 * GAP];
        drawing.rect(...box, { fill: shade(w), title: say("cell", cell) });
      });
    });
  });
}

// A frame around a column of the heatmap, and its weights at the right.
function drawColumn(drawing, grid, weights, column) {
  const { INK, MUTED } = PAGE.shape;
  const box = [grid.x(column) - 1, grid.head - 1, grid.column + 2, grid.bottom - grid.head + 2];
  drawing.rect(...box, { line: INK, width: 2 });
  const style = { size: 11, anchor: "end" };
  drawing.text(grid.right + 44, grid.top - 8, say("in_column", { place: column }), { ...style, color: MUTED });
  weights.forEach((row, k) => {
    const w = row[column];
    drawing.text(grid.right + 44, grid.y(k) + 15, percent(w), { ...style, bold: w >= 0.5 });
  });
}

// A dashed frame around the right places; rows with the same places share one.
function drawGold(drawing, grid, gold) {
  const { ROW, ORANGE } = PAGE.shape;
  const same = (row, other) => row.every((value, i) => value === other[i]);
  for (let k = 0, end; k < gold.length; k = end) {
    end = k + 1;
    while (end < gold.length && same(gold[k], gold[end])) end++;
    for (const [first, last] of runs(gold[k])) {
      const box = [grid.x(first) + 1.2, grid.y(k) + 1.2, grid.column * (last - first) - 2.4, ROW * (end - k) - 2.4];
      drawing.rect(...box, { line: ORANGE, width: 2, dash: "6 3" });
    }
  }
}

// [first, end] of every unbroken run of true.
function runs(row) {
  const found = [];
  row.forEach((value, i) => {
    if (value && !row[i - 1]) found.push([i, i]);
    if (value) found.at(-1)[1] = i + 1;
  });
  return found;
}

function drawLegend(drawing, y, gold) {
  const { BLUE, ORANGE, GAP, MUTED } = PAGE.shape;
  const style = { size: 11, color: MUTED };
  drawShades(drawing, 14, y, [0, 0.25, 0.5, 0.75, 1]);
  drawing.rect(304, y + 1, 30, 15, { line: BLUE, width: GAP });
  drawing.text(342, y + 13, say("legend_step"), style);
  if (!gold) return;
  drawing.rect(62, y + 25, 30, 15, { line: ORANGE, width: 2, dash: "6 3" });
  drawing.text(100, y + 37, say("legend_gold"), style);
}

function drawUnknownLegend(drawing, y) {
  drawUnknown(drawing, 62, y - 2, 30);
  drawing.text(100, y + 12, say("legend_unknown"), { size: 11, color: PAGE.shape.MUTED });
}
