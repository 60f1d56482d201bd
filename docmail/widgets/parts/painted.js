// What the kernel draws, and a notebook must not keep: addresses, the record of mail, a document's later pages.
//
// It comes as messages, never as widget state (that is stored in notebooks and echoed to all clients). The HTML consists
// of zones, <div data-zone="NAME">, which the kernel replaces one by one. In it
//   data-press="ACTION" data-id="ID"    a click sends the action, with the values of all inputs that have a data-name
//   data-careful                        a button that is off until a person can have read what it says
//   data-live                           an input whose changes the kernel hears of when the typing pauses
//   data-enter="ACTION"                 what Enter in an input does
//   data-arrows="LEFT RIGHT"            what the arrow keys do inside an element
//   <iframe>                            gets a whole page, which must not reach the notebook around it
//   data-upload                         an input for files, whose content goes to the kernel in pieces
// Beside a form's own fields it offers what the kernel suggests for them.

const TYPING = 250; // ms without a key after which the kernel is told
const SETTLE = 700; // ms; whoever clicks twice has not read what the button says now
const ANSWER_WITHIN = 10_000; // ms; as in controls.js
const ROOT_WITHIN = 10_000; // ms; as in controls.js
const REVEAL_WITHIN = 3_000; // ms
const PIECE = 1 << 20; // bytes in one message; notebook servers close the connection at ten million

// As in controls.js: JupyterLab's shortcuts must not see what is pressed here.
function keepKeys(element) {
  const keep = (event) => {
    if (event.key === "Enter" || !(event.ctrlKey || event.metaKey)) event.stopPropagation();
  };
  for (const type of ["keydown", "keypress", "keyup"]) element.addEventListener(type, keep);
}

function save(name, type, [content]) {
  const link = Object.assign(document.createElement("a"), {
    download: name,
    href: URL.createObjectURL(new Blob([content], { type })),
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// A link followed in the frame would show a page from outside in place of the mail; a new window it may not open.
const withoutLinks = (page) => page.replace("<head>", '<head><base target="_blank">');

// What stands in a place after it is drawn anew; a focused element is found again by this.
const identity = (element) =>
  ["press", "id", "name", "arrows", "upload"].map((key) => element?.dataset?.[key] ?? "").join("|");

function renderPainted({ model, el }) {
  const words = model.get("words");
  const drawn = {};
  const uploads = new Map(); // what waits for the kernel's word on a piece
  const state = { pressed: false, closed: false };
  const timers = { typing: 0, answer: 0 };
  const status = Object.assign(document.createElement("div"), { className: "dm-silence dm-problem", hidden: true });
  status.setAttribute("role", "status");

  const say = (text) => {
    status.textContent = text;
    status.hidden = !text;
  };
  const field = (name) => el.closest(".docmail-form")?.querySelector(`.dm-field-${name} :is(input, textarea)`);
  const values = () => ({
    ...Object.fromEntries(model.get("reads").map((name) => [name, field(name)?.value ?? ""])),
    ...Object.fromEntries([...el.querySelectorAll("[data-name]")].map((input) => [input.dataset.name, input.value])),
  });
  const gone = () => el.closest(".dm-gone") !== null; // see kernel_gone.js, which switches inputs and buttons off
  const send = (content, buffers) => {
    clearTimeout(timers.answer);
    timers.answer = setTimeout(() => say(words.silent), ANSWER_WITHIN);
    model.send(content, undefined, buffers);
  };
  const press = (action, element) => {
    if (gone()) return;
    const { id = "" } = element.dataset;
    state.pressed = true;
    element.setAttribute("aria-busy", "true");
    send({ press: action, id, values: values() });
  };

  // Whoever uses the keyboard stands, after a redraw, where they stood; where that is gone or off, beside it.
  const successor = (before, id, zone) => {
    const usable = (place) => [...place.querySelectorAll("button, input, select, [tabindex]")].filter((each) => !each.disabled);
    const same = [...el.querySelectorAll("button, input, select, [tabindex]")].find((each) => identity(each) === before);
    if (same) return same.disabled ? usable(same.parentElement)[0] : same;
    const near = usable(zone);
    return near.findLast((each) => id && each.dataset.id === id) ?? near[0] ?? usable(el)[0];
  };
  const draw = (zones) => {
    const at = document.activeElement;
    let left = null; // the zone in which the focus stands, if that is drawn anew
    for (const [name, html] of Object.entries(zones)) {
      if (drawn[name] === html) continue;
      drawn[name] = html;
      let zone = el.querySelector(`[data-zone="${name}"]`);
      if (!zone) {
        zone = document.createElement("div");
        zone.dataset.zone = name;
        el.insertBefore(zone, status);
      }
      if (zone.contains(at)) left = zone;
      zone.innerHTML = html;
      const careful = [...zone.querySelectorAll("[data-careful]")];
      for (const button of careful) button.disabled = true;
      setTimeout(() => careful.forEach((button) => (button.disabled = gone())), SETTLE);
    }
    if (left && !el.contains(document.activeElement)) {
      successor(identity(at), at.dataset.id, left)?.focus({ preventScroll: true });
    }
  };

  const upload = async (file) => {
    const id = Math.random().toString(36).slice(2);
    for (let at = 0; at === 0 || at < file.size; at += PIECE) {
      const piece = await file.slice(at, at + PIECE).arrayBuffer();
      const taken = await new Promise((resolve) => {
        uploads.set(id, resolve);
        send({ piece: id, name: file.name, size: file.size, at }, [piece]);
      });
      uploads.delete(id);
      if (!taken) return;
    }
  };

  const click = (event) => {
    const element = event.target.closest("[data-press]");
    if (element && el.contains(element) && !element.disabled) press(element.dataset.press, element);
  };
  const typed = (event) => {
    if (event.target.dataset.live === undefined) return;
    clearTimeout(timers.typing);
    timers.typing = setTimeout(() => !gone() && send({ press: "typed", id: "", values: values() }), TYPING);
  };
  const chosen = async (event) => {
    if (event.target.dataset.upload === undefined) return;
    const files = [...event.target.files];
    event.target.value = "";
    for (const file of files) await upload(file);
  };
  const key = (event) => {
    const { enter } = event.target.dataset ?? {};
    if (event.key === "Enter" && enter) {
      event.preventDefault();
      press(enter, event.target);
    }
    const arrows = event.target.closest?.("[data-arrows]")?.dataset.arrows.split(" ");
    const action = { ArrowLeft: arrows?.[0], ArrowRight: arrows?.[1] }[event.key];
    const button = action && event.target.tagName !== "INPUT" && el.querySelector(`[data-press="${action}"]`);
    if (button && !button.disabled) {
      event.preventDefault();
      press(action, button);
    }
  };

  // What the kernel has put below this is drawn some moments later, in place of what was shown there before.
  const reveal = async (selector) => {
    const since = performance.now();
    const before = el.parentElement?.querySelector(selector);
    const found = () => [...(el.parentElement?.querySelectorAll(selector) ?? [])].find((each) => each !== before);
    while (!found() && !state.closed && performance.now() - since < REVEAL_WITHIN) {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    const shown = found() ?? before;
    shown?.scrollIntoView({ block: "center" });
    shown?.focus({ preventScroll: true });
  };

  const hear = (message, buffers) => {
    clearTimeout(timers.answer);
    say("");
    for (const busy of el.querySelectorAll("[aria-busy]")) busy.removeAttribute("aria-busy");
    if (message.draw) draw(message.draw);
    if (message.frame) el.querySelector("iframe").srcdoc = withoutLinks(message.frame);
    if (message.piece) uploads.get(message.piece)?.(message.taken);
    if (message.download && state.pressed) save(message.download, message.type, buffers);
    if (message.focus && state.pressed) el.querySelector(message.focus)?.focus();
    if (message.reveal && state.pressed) reveal(message.reveal);
    if (message.suggest) offer(message.suggest, message.options);
  };

  // --- suggestions for the fields of the form in which this stands ---
  const offered = {};
  const separator = /[;,](?![^"]*"(?:[^"]*"[^"]*")*[^"]*$)/; // not inside quotes, as around a name with a comma
  const parts = (text) => {
    const pieces = text.split(separator);
    const last = pieces.pop();
    return [text.slice(0, text.length - last.length), last.trim()];
  };
  const offer = (name, options) => {
    if (!(name in offered)) return;
    const { input, list } = offered[name];
    const [before] = parts(input.value);
    const begin = before && `${before.trimEnd()} `;
    list.replaceChildren(
      ...options.map((option) => Object.assign(document.createElement("option"), { value: `${begin}${option}` })),
    );
  };
  const attend = (name, input) => {
    const list = Object.assign(document.createElement("datalist"), { id: `docmail-${Math.random().toString(36).slice(2)}` });
    let timer = 0;
    const ask = () => {
      clearTimeout(timer);
      timer = setTimeout(() => !gone() && model.send({ suggest: name, typed: parts(input.value)[1] }), TYPING);
    };
    input.setAttribute("list", list.id);
    input.addEventListener("input", ask);
    input.addEventListener("focus", ask);
    el.append(list);
    offered[name] = { input, list };
  };
  const begin = async () => {
    const since = performance.now();
    const names = model.get("suggests");
    while (!names.every(field) && !state.closed && performance.now() - since < ROOT_WITHIN) {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    if (state.closed) return;
    for (const name of names) {
      if (field(name)) attend(name, field(name));
    }
    model.send({ ready: true, ratio: window.devicePixelRatio || 1 });
  };

  el.innerHTML = model.get("stored");
  el.classList.add("jupyter-widgets", "dm-painted");
  el.append(status);
  keepKeys(el);
  el.addEventListener("click", click);
  el.addEventListener("input", typed);
  el.addEventListener("change", chosen);
  el.addEventListener("keydown", key);
  model.on("msg:custom", hear);
  begin();
  return () => {
    state.closed = true;
    clearTimeout(timers.typing);
    clearTimeout(timers.answer);
    model.off("msg:custom", hear);
  };
}

export default { render: renderPainted };
