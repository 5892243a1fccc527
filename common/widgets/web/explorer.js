// The page: what is typed and pressed, and what is shown for it (common/widgets/explorer.py is the notebook's).
//
// CHAPTER, of the chapter's own script, knows the models and what they read. `name` is a model's name in the menu:
//   model(content)                       a model that decode understands, from its file
//   decode(model, tokens)                { answer, confidence, weights }, weights null without attention
//   explain(model, tokens, step)         { terms, hs } of reasons.js, or { missing }, which says why there are none;
//                                        a chapter without it has nothing to explain
// It begins with CHARACTERS (texts.js) or SENTENCES (sentences.js), which ask it for more, and which answer:
//   tokenize(text)                       a list of tokens
//   files(tokens, name)                  the names of files that are needed to say something of the tokens
//   complaint(tokens)                    why the tokens cannot be read, or null
//   unknown(model, tokens)               the places of tokens that are read without being known
//   verdict(name, tokens, answer)        whether the answer is right
//   gold(name, tokens, answer)           { mask, missing }: where each token of the answer comes from, or why not
//   examples(name)                       texts
//   language(name)                       { language, code }, null where all models read the same
//   remarks(tokens, state)               further sentences of the news, or ""
"use strict";

const byId = (id) => document.getElementById(id);
const NONE = say("label_none");

// --- files: the weights of a model, the names of the characters ---
// A page that was opened from a disk may not read other files, but it may run scripts: each file calls `receive`.

const received = {};
const loading = {};

function receive(file, content) {
  received[file] = content;
}

function loadFile(file) {
  loading[file] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${PAGE.files}/${file}.js`;
    script.onload = () => resolve(received[file]);
    script.onerror = () => {
      delete loading[file]; // the next try may succeed
      reject(new Error(say("no_file", { file: `files/${file}.js` })));
    };
    document.head.append(script);
  });
  return loading[file];
}

const models = {}; // those that were asked for

async function modelOf(name) {
  const { file } = PAGE.models.find((model) => model.name === name);
  const content = await loadFile(file);
  models[name] ??= CHAPTER.model(content);
  return models[name];
}

// --- answers ---

const answers = new Map(); // those that need not be computed again

function answerOf(name, tokens) {
  const key = JSON.stringify([name, tokens]);
  if (!answers.has(key)) {
    if (answers.size >= PAGE.remember) answers.delete(answers.keys().next().value);
    answers.set(key, CHAPTER.decode(models[name], tokens));
  }
  return answers.get(key);
}

// What one model's picture shows, and why something is missing from it.
function shownOf(name, tokens, { step, column, gold }) {
  const { answer, confidence, weights } = answerOf(name, tokens);
  let found = { mask: null, missing: "" };
  if (gold && weights) found = CHAPTER.gold(name, tokens, answer);
  if (gold && !weights) found.missing = say("no_gold_without_attention");
  const lit = weights ? column : null;
  const unknown = CHAPTER.unknown(models[name], tokens);
  const shown = { question: tokens, answer, confidence, weights, gold: found.mask, column: lit, unknown };
  const missing = found.missing ? [found.missing] : [];
  return { ...shown, step: Math.min(step, answer.length - 1), name: say("model", { name }), missing };
}

// Whether two models read different languages, so that they cannot stand side by side.
function isApart(name, beside) {
  return beside !== NONE && CHAPTER.language(name)?.language !== CHAPTER.language(beside)?.language;
}

// Everything that is shown of a question: the pictures as SVG, and the news as a sentence. The models are there.
function pictures(tokens, { model, beside, step, column, gold, why }) {
  const { WIDTH, NARROW } = PAGE.shape;
  const alone = beside === NONE || isApart(model, beside);
  const width = alone ? WIDTH : NARROW;
  const first = shownOf(model, tokens, { step, column, gold });
  const found = { first, picture: renderAttention(first, width), second: "", reasons: "" };
  const news = [CHAPTER.verdict(model, tokens, first.answer)];
  if (!alone) {
    const second = shownOf(beside, tokens, { step, column, gold });
    found.second = renderAttention(second, width);
    news.push(say("beside_writes", { name: beside, answer: join(second.answer) }));
  }
  news.push(...first.missing);
  if (why && !first.weights) news.push(say("no_why_without_attention"));
  if (why && first.weights) {
    const reasons = CHAPTER.explain(models[model], tokens, first.step);
    const [most] = descending(first.weights[first.step]);
    if (reasons.missing) news.push(reasons.missing);
    else found.reasons = renderReasons(tokens, reasons, first.step, column ?? most);
  }
  return { ...found, news: closed(news.join(say("and"))) + CHAPTER.remarks(tokens, { model, beside }) };
}

// --- the page ---

const state = { ...PAGE.state, column: null };
let question = []; // the last one that could be read
let latest = 0; // the number of the last change: an older one that was still loading is dropped

// Show what the state says. `changed` is the part of the state that changed last; `said` goes before the news.
async function show(changed, said = "") {
  const turn = ++latest;
  const typed = CHAPTER.tokenize(state.text);
  try {
    await Promise.all(CHAPTER.files(typed, state.model).map(loadFile));
    if (turn !== latest) return;
    const problem = CHAPTER.complaint(typed);
    for (const id of ["picture", "second", "reasons"]) byId(id).classList.toggle("old", Boolean(problem));
    if (problem) {
      tell(problem + (question.length ? say("still_shows", { question: quoted(join(question)) }) : ""), "alert");
      if (changed === "text") return;
    }
    const tokens = problem ? question : typed;
    if (!tokens.length) return;
    const alone = state.beside === NONE || isApart(state.model, state.beside);
    const chosen = [state.model, ...(alone ? [] : [state.beside])];
    if (chosen.some((name) => !models[name])) tell(say("loading", { names: chosen.join(", ") }));
    await Promise.all(chosen.map(modelOf));
    if (turn !== latest) return;
    if (tokens.join("\n") !== question.join("\n")) state.column = null;
    question = tokens;
    state.step = Math.min(state.step, answerOf(state.model, tokens).answer.length - 1);
    draw(tokens, problem, changed, said);
  } catch (error) {
    tell(error.message, "alert");
  }
}

function draw(tokens, problem, changed, before) {
  const found = pictures(tokens, state);
  for (const id of ["picture", "second", "reasons"]) {
    const frame = byId(id);
    frame.innerHTML = found[id];
    frame.hidden = !found[id];
    if (!found[id]) continue;
    const svg = frame.firstChild; // the frame is between as wide as the picture needs and as wide as it is
    frame.style.flexBasis = `calc(2px + ${svg.style.getPropertyValue("--least")})`;
    frame.style.maxWidth = `min(100%, calc(2px + ${svg.getAttribute("width")}px))`;
  }
  document.body.classList.toggle("two", Boolean(found.second));
  drawTokens(found.first);
  if (!problem) tell(before ? `${before} ${found.news}` : found.news);
  const said = byId("said");
  said.setAttribute("aria-live", ["step", "column"].includes(changed) ? "polite" : "off");
  said.textContent = describeAttention(found.first).slice(1).join(" ");
}

function tell(text, kind = "status") {
  const line = document.createElement("p");
  line.dataset.kind = kind;
  if (kind === "alert") line.append(Object.assign(document.createElement("b"), { textContent: say("please_check") }), " ");
  line.append(text);
  byId("news").replaceChildren(line);
}

// The tokens of the answer and of the question as buttons. The question is painted with the weights of the step.
function drawTokens({ question, answer, confidence, weights, step, column, unknown }) {
  const kind = PAGE.captions.token;
  const steps = byId("answer");
  const options = answer.map((token, k) => [k, visible(token), say("tip_step", { kind, place: k })]);
  offer(steps, "step", options, step);
  steps.querySelectorAll("label").forEach((label, k) => {
    label.style.setProperty("--sure", confidence[k]);
    label.title = `${say("tip_step", { kind, place: k })}: ${percent(confidence[k])}`;
  });
  byId("step").max = answer.length - 1;
  byId("step").value = step;
  byId("step-shown").textContent = step;
  const columns = question.map((token, i) => [i, visible(token), say("tip_column", { kind, place: i })]);
  offer(byId("question"), "column", [["", NONE, say("tip_no_column")], ...columns], column ?? "");
  byId("question").disabled = !weights;
  byId("question").querySelectorAll("label.token").forEach((label, i) => {
    if (!i) return;
    const w = weights ? weights[step][i - 1] : 0;
    label.style.background = shade(w);
    label.style.color = inkOn(w);
    label.classList.toggle("unknown", unknown.includes(i - 1));
  });
}

// Radio buttons for options [value, label, description] in a fieldset. Those that fit stay, and so does the focus.
function offer(fieldset, group, options, chosen) {
  const fits = fieldset.dataset.options === JSON.stringify(options);
  if (!fits) {
    fieldset.dataset.options = JSON.stringify(options);
    fieldset.querySelectorAll("label").forEach((label) => label.remove());
    for (const [value, text, description] of options) {
      const label = Object.assign(document.createElement("label"), { className: "token", title: description });
      label.classList.toggle("mark", PAGE.captions.marks.includes(text));
      const input = Object.assign(document.createElement("input"), { type: "radio", name: group, value });
      input.setAttribute("aria-label", `${text}, ${description}`);
      label.append(input, text);
      fieldset.append(label);
    }
  }
  for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === String(chosen);
}

function change(part, value) {
  const before = state[part];
  state[part] = value;
  if (part !== "step") stop();
  show(part, part === "model" ? changeLanguage(before, value) : "");
  if (part === "text" || part === "model") offerExamples();
}

// Put an example of the new model's language into the box; returns a sentence that says so, or "".
function changeLanguage(old, name) {
  if (!isApart(name, old)) return "";
  const place = Math.max(CHAPTER.examples(old).indexOf(state.text), 0);
  const examples = CHAPTER.examples(name);
  byId("text").value = state.text = examples[place % examples.length];
  return say("language_changed", { name, ...CHAPTER.language(name) });
}

// --- examples: buttons where they are short, a menu where they are sentences ---

function take(text) {
  byId("text").value = text;
  change("text", text);
}

function offerExamples() {
  const examples = CHAPTER.examples(state.model);
  const language = CHAPTER.language(state.model);
  if (language) for (const id of ["text", "example", "question"]) byId(id).lang = language.code;
  if (!PAGE.sentences) return;
  const choose = new Option(say("choose_example"), "");
  choose.lang = document.documentElement.lang;
  byId("example").replaceChildren(choose, ...examples.map((text) => new Option(text, text)));
  byId("example").value = examples.includes(state.text) ? state.text : "";
}

// The next example; after another text, the first.
function nextExample() {
  const examples = CHAPTER.examples(state.model);
  take(examples[(examples.indexOf(state.text) + 1) % examples.length]);
}

// --- play the steps ---

let playing = null;

function stop() {
  clearInterval(playing);
  playing = null;
  byId("play").setAttribute("aria-pressed", "false");
}

function play() {
  if (playing) return stop();
  const last = () => answerOf(state.model, question).answer.length - 1;
  if (!question.length) return;
  if (state.step >= last()) change("step", 0);
  byId("play").setAttribute("aria-pressed", "true");
  playing = setInterval(() => {
    if (state.step >= last()) stop();
    else change("step", state.step + 1);
  }, PAGE.shape.PACE);
}

// --- save ---

function save(kind) {
  document.querySelectorAll(".frame svg").forEach((svg, k) => {
    const link = document.createElement("a");
    const source = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svg.outerHTML);
    const finish = (href) => Object.assign(link, { href, download: `attention${k ? `-${k + 1}` : ""}.${kind}` }).click();
    if (kind === "svg") return finish(source);
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 2 * svg.getAttribute("width");
      canvas.height = 2 * svg.getAttribute("height");
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      finish(canvas.toDataURL("image/png"));
    };
    image.src = source;
  });
}

// --- start ---

function start() {
  const fill = (select, names, chosen) => {
    select.replaceChildren(...names.map((name) => new Option(name, name, name === chosen, name === chosen)));
    select.addEventListener("change", () => change(select.id, select.value));
  };
  const names = PAGE.models.map((model) => model.name);
  fill(byId("model"), names, state.model);
  fill(byId("beside"), [NONE, ...names], state.beside);
  byId("text").value = state.text;
  byId("text").addEventListener("input", (event) => change("text", event.target.value));
  for (const text of PAGE.sentences ? [] : CHAPTER.examples(state.model)) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    button.addEventListener("click", () => take(text));
    byId("examples").append(button);
  }
  byId("examples").hidden = PAGE.sentences;
  byId("menu").hidden = !PAGE.sentences;
  byId("example").addEventListener("change", (event) => event.target.value && take(event.target.value));
  byId("another").addEventListener("click", nextExample);
  byId("why").closest("label").hidden = !CHAPTER.explain;
  for (const id of ["gold", "why"]) {
    byId(id).checked = state[id];
    byId(id).addEventListener("change", (event) => change(id, event.target.checked));
  }
  byId("step").addEventListener("input", (event) => {
    stop();
    change("step", Number(event.target.value));
  });
  byId("answer").addEventListener("change", (event) => {
    stop();
    change("step", Number(event.target.value));
  });
  byId("question").addEventListener("change", (event) => {
    change("column", event.target.value === "" ? null : Number(event.target.value));
  });
  byId("play").addEventListener("click", play);
  for (const kind of ["svg", "png"]) byId(`save-${kind}`).addEventListener("click", () => save(kind));
  // A row or a token in a picture can be pressed, too; it presses a button by its place.
  document.querySelector("main").addEventListener("click", (event) => {
    const part = event.target.closest("[data-press]");
    if (!part) return;
    const [group, k] = part.dataset.press.split("-");
    document.querySelectorAll(`input[name="${group}"]:not(:disabled)`)[k]?.click();
  });
  // In a frame on another page: without the heading. That page is told how high this one is, and may tell whether it is
  // light or dark: { theme: "dark" }.
  if (window.parent !== window) {
    document.body.classList.add("framed");
    const report = () => window.parent.postMessage({ attentionExplorer: document.documentElement.offsetHeight }, "*");
    new ResizeObserver(report).observe(document.body);
    window.addEventListener("message", ({ source, data }) => {
      const theme = ["light", "dark"].includes(data?.theme) ? data.theme : "";
      if (source === window.parent) document.documentElement.dataset.theme = theme;
    });
  }
  document.body.classList.toggle("sentences", PAGE.sentences);
  offerExamples();
  show("text");
}

start();
