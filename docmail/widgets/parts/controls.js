// Two parts of docmail's forms that ordinary widgets cannot play.
//
// "password": an input whose value never becomes widget state (that is stored in notebooks and echoed to all clients).
// "actions":  the buttons. One click sends one message with the action, the values of all fields and the password,
//             because messages of different widgets may overtake each other while a cell runs.
//
// Which rows are shown is decided here as well, so that a keystroke never waits for the kernel: the form's element
// carries a class `dm-STATE` for each rule that holds. And here the notes beside the fields are drawn.

import {
  REPLY_WITHIN,
  SETTLE,
  create,
  followAddress,
  impliedSecurity,
  keepKeys,
  newId,
  save,
  statesOf,
  until,
} from "./common.js";

const POINTER = ["pointerdown", "pointerup", "pointercancel"];
const ENTER = "docmail-enter"; // in a secret; the buttons that carry it hear of it
const NARROW = 800; // px; below, the guide stands under the form and is folded (as in controls.css)

// A button that is off keeps the focus: one that is `disabled` loses it, and its user would continue from the page's top.
const setOff = (button, off) => button.setAttribute("aria-disabled", String(off));

function renderPassword({ model, el }) {
  const id = newId();
  const label = create("label", "widget-label", { htmlFor: id, textContent: model.get("label") });
  const field = create("div", "dm-password widget-text");
  const input = create("input", "", { id, type: "password", autocomplete: "new-password", spellcheck: false });
  input.setAttribute("autocapitalize", "off");
  input.dataset.form = model.get("form");
  // By these password managers know that this is not the place for the login of this site.
  Object.assign(input.dataset, { "1pIgnore": "", lpignore: "true", bwignore: "true", formType: "other" });
  const toggle = create("button", "dm-show jupyter-button widget-button", { type: "button" });
  const words = model.get("words");
  const siblings = () => document.querySelectorAll(`.dm-password input[data-form="${input.dataset.form}"]`);

  const show = (visible) => {
    input.type = visible ? "text" : "password";
    toggle.textContent = visible ? words.hide : words.show;
    toggle.setAttribute("aria-pressed", String(visible));
    toggle.setAttribute("aria-label", visible ? words.hide_password : words.show_password);
  };
  const paint = () => {
    input.placeholder = model.get("placeholder");
    label.textContent = model.get("label");
  };
  const onMessage = (message) => {
    if (message.clear) {
      input.value = "";
      show(false);
    }
  };
  toggle.addEventListener("click", () => show(input.type === "password"));
  // The same form shown twice holds the same password, without telling the kernel.
  input.addEventListener("input", () => {
    for (const sibling of siblings()) sibling.value = input.value;
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) input.dispatchEvent(new CustomEvent(ENTER, { bubbles: true }));
  });
  keepKeys(field);
  show(false);
  paint();
  input.value = [...siblings()].find((sibling) => sibling.value)?.value ?? "";
  model.on("change:placeholder", paint);
  model.on("change:label", paint);
  model.on("msg:custom", onMessage);
  field.append(input, toggle);
  el.classList.add("jupyter-widgets", "widget-inline-hbox");
  el.append(label, field);
  return () => {
    input.value = "";
    model.off("change:placeholder", paint);
    model.off("change:label", paint);
    model.off("msg:custom", onMessage);
  };
}

// A selection widget's front-end model knows the index of what is chosen, not its value.
const valueOf = (field) => (field.get("_options_labels") ? field.get("index") : field.get("value"));

const CHOICES = ".widget-toggle-buttons, .dm-choices";
const isOffered = (button) => getComputedStyle(button).display !== "none";
const offered = (group) => [...group.querySelectorAll(".widget-toggle-button, .dm-choice")].filter(
  (button) => button.closest(CHOICES) === group && isOffered(button),
);

// ipywidgets shows what is chosen by colour alone, does not connect the buttons with their label, and makes each of them
// a stop of the Tab key. Here a choice is one stop, and the arrow keys go through it, as they do for radio buttons.
function sayChoices(root) {
  for (const group of root.querySelectorAll(CHOICES)) {
    if (group.matches(".widget-toggle-buttons")) {
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", group.querySelector("label")?.textContent ?? "");
      for (const button of group.querySelectorAll(".widget-toggle-button")) {
        button.setAttribute("aria-pressed", String(button.classList.contains("mod-active")));
      }
    }
    const buttons = offered(group);
    const stop = buttons.find((button) => button.ariaPressed === "true") ?? buttons[0];
    for (const button of buttons) button.tabIndex = button === stop ? 0 : -1;
  }
  for (const button of root.querySelectorAll(".dm-fold-button")) {
    button.setAttribute("aria-expanded", String(button.classList.contains("mod-active")));
  }
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function choose(event) {
  const group = event.target.matches(".widget-toggle-button, .dm-choice") && event.target.closest(CHOICES);
  if (!group || !(event.key in STEPS) || event.altKey || event.ctrlKey || event.metaKey) return;
  const buttons = offered(group);
  const next = buttons[(buttons.indexOf(event.target) + STEPS[event.key] + buttons.length) % buttons.length];
  event.preventDefault();
  next.focus();
  next.click();
}

// --- folds: rows that a known provider spares its user, in the place of which a line stands ---

const isFolded = (root) => root.classList.contains("dm-known");
const isFolding = (root, fold) => root.classList.contains(fold === "mailbox" ? "dm-mailbox-known" : "dm-known");
const isOpen = (root, fold) => root.classList.contains(`dm-open-${fold}`);

// The buttons that show and hide rows below them, by the name of their field, and those rows.
const FOLD_BUTTONS = { advanced: ".dm-if-advanced", after_sending: ".dm-if-after-sending" };

function setFold(root, fold, open) {
  root.classList.toggle(`dm-open-${fold}`, open);
  sayFolds(root);
}

function sayFolds(root) {
  for (const button of root.querySelectorAll("[data-fold]")) {
    button.setAttribute("aria-expanded", String(isOpen(root, button.dataset.fold)));
  }
}

// What is wrong with a field is never hidden in a fold.
function unfold(root, row) {
  if (row?.matches(".dm-in-mailbox")) setFold(root, "mailbox", true);
  if (!isFolded(root)) return;
  if (row?.matches(".dm-in-server")) setFold(root, "server", true);
  if (row?.matches(".dm-in-more") && !isOpen(root, "server")) setFold(root, "more", true);
}

// The field of a row, and of several buttons the chosen one.
function firstField(row) {
  const offered = [...row.querySelectorAll("input, textarea, select, button")].filter(
    (each) => isOffered(each) && !each.closest(".dm-above, .dm-note"),
  );
  return offered.find((each) => each.classList.contains("mod-active")) ?? offered[0];
}

// A button that is replaced by the same one keeps the focus; one that is gone leaves it to the row's field.
function write(place, html, row) {
  if (place.docmail === html) return;
  const had = place.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
  place.docmail = place.innerHTML = html;
  if (!had) return;
  const names = ["fold", "set", "value"].filter((name) => name in had);
  const same = [...place.querySelectorAll("button")].find((each) => names.every((name) => each.dataset[name] === had[name]));
  ((names.length && same) || firstField(row))?.focus({ preventScroll: true });
}

// A row of toggle buttons takes every button in it for one of its own: what is pressed here is none of its business.
// The form's own listeners have heard it by then.
function aside(name, attributes = {}) {
  const made = create("div", name, attributes);
  made.addEventListener("click", (event) => event.stopPropagation());
  return made;
}

// Draw beside and above each field what the kernel has to say about it, and say it to assistive technology.
function drawNotes(root, notes) {
  const rows = [...root.querySelectorAll(".dm-row")].filter((row) => row.closest(".docmail-form") === root);
  for (const row of rows) {
    const name = [...row.classList].find((each) => each.startsWith("dm-field-"))?.slice("dm-field-".length);
    const [kind, html, above = ""] = notes[name] ?? ["help", ""];
    let note = row.querySelector(":scope > .dm-note");
    if (!note && html) row.append((note = aside("dm-note", { id: newId() })));
    if (note) write(note, html, row);
    let before = row.querySelector(":scope > .dm-above");
    if (!before && above) row.prepend((before = aside("dm-above")));
    if (before) write(before, above, row);
    const turned = kind === "bad" && !row.classList.contains("dm-invalid");
    row.classList.toggle("dm-invalid", kind === "bad");
    if (turned) unfold(root, row);
    for (const input of row.querySelectorAll("input, textarea, select")) {
      if (note?.contains(input)) continue;
      if (note) input.setAttribute("aria-describedby", note.id);
      input.setAttribute("aria-invalid", String(kind === "bad"));
      // A saved login of this site is not what belongs here; passwords have their own word for it.
      if (input.type !== "password") input.autocomplete = "off";
    }
  }
}

function setValue(field, key, value) {
  if (field.get(key) === value) return;
  field.set(key, value);
  field.save_changes();
}

// A report is copied where it stands. Without https (a plain JupyterHub) there is no clipboard but the old command.
async function copyReport(event) {
  const button = event.target.closest(".dm-copy");
  if (!button) return;
  const source = button.parentElement.querySelector(".dm-copied");
  let copied = true;
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    getSelection().selectAllChildren(source);
    copied = document.execCommand("copy");
  }
  button.textContent = copied ? button.dataset.copied : button.dataset.selected;
}

function renderActions({ model, el }) {
  const words = model.get("words");
  const bar = create("div", "dm-actions");
  const buttons = create("div", "dm-buttons");
  const stop = create("button", "dm-stop jupyter-button widget-button", { type: "button", textContent: words.stop });
  const progress = create("progress", "dm-progress", { max: 1 });
  const elapsed = create("span", "dm-elapsed");
  // The one place whose changes are read out; it is there before anything is said in it.
  const status = create("div", "dm-status");
  status.setAttribute("role", "status");
  const steps = create("div", "dm-phases");
  const toggle = create("button", "dm-link dm-details-button", { type: "button" });
  const state = { waiting: false, settling: false, silent: false, pressed: false, closed: false, began: 0 };
  state.origin = null; // what had the focus when a button was pressed
  state.focused = null; // the action whose button had the focus last
  const timers = { reply: 0, clock: 0, settle: 0 };
  let fields = {};
  const implied = {};
  const memory = { address: "", typed: false };
  let release = () => {};
  let leave = () => {};

  const form = () => el.closest(".docmail-form");
  const gone = () => el.closest(".dm-gone") !== null; // see kernel_gone.js, which switches the buttons off
  const opening = () => `${model.get("details")}-open`; // the form's class while the details are shown
  const values = () => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, valueOf(field)]));

  const paint = () => {
    const busy = model.get("busy");
    const off = busy || state.waiting || state.settling;
    const actions = model.get("actions");
    // A button that is replaced between mouse down and mouse up gets no click.
    if (actions.map(([action]) => action).join() !== [...buttons.children].map((each) => each.dataset.action).join()) {
      buttons.replaceChildren(
        ...actions.map(([action]) => {
          const button = create("button", "jupyter-button widget-button", { type: "button" });
          button.dataset.action = action;
          button.addEventListener("click", () => press(action));
          return button;
        }),
      );
    }
    actions.forEach(([action, text], index) => {
      const button = buttons.children[index];
      button.classList.toggle("mod-primary", action === model.get("primary"));
      if (button.textContent !== text) button.textContent = text;
      setOff(button, off);
    });
    stop.hidden = !busy;
    setOff(stop, !model.get("stoppable"));
    const share = model.get("progress");
    progress.hidden = !busy || share < 0;
    progress.value = Math.max(0, share);
    elapsed.hidden = !busy;
    paintStatus();
  };
  const paintStatus = () => {
    const { sentence = "", steps: done = "", details = "" } = model.get("status");
    const html = state.silent ? "" : sentence;
    if (status.docmail !== html || state.silent) {
      status.docmail = status.innerHTML = html;
      if (state.silent) status.append(create("span", "dm-silence dm-problem", { textContent: words.silent }));
    }
    if (steps.docmail !== done) steps.docmail = steps.innerHTML = done;
    steps.hidden = !done;
    toggle.hidden = !details;
    if (toggle.textContent !== details) toggle.textContent = details;
    toggle.setAttribute("aria-expanded", String(form()?.classList.contains(opening()) ?? false));
  };
  const open = (opened) => {
    form()?.classList.toggle(opening(), opened);
    paintStatus();
  };
  // What somebody has opened or closed stays so while it is the same that is told.
  let told = {};
  const statusChanged = () => {
    const now = model.get("status");
    state.retyped = false;
    if (now.details !== told.details || now.opened !== told.opened) open(now.opened ?? false);
    told = now;
    paintStatus();
  };
  // A button that is replaced or hidden loses the focus; it goes to the one in its place. Not to Stop while something
  // is done: the second half of a double press would stop it.
  const repaint = () => {
    const at = document.activeElement;
    const had = bar.contains(at);
    if (buttons.contains(at)) state.focused = at.dataset.action;
    paint();
    if (!had || (bar.contains(document.activeElement) && !(at === stop && stop.hidden))) return;
    const again = buttons.querySelector(`[data-action="${state.focused}"]`) ?? buttons.firstElementChild;
    again?.focus({ preventScroll: true });
  };
  const tick = () => {
    const seconds = `${((performance.now() - state.began) / 1000).toFixed(1)} s`;
    elapsed.textContent = model.get("stoppable") ? seconds : `${seconds} · ${words.last}`; // which is why Stop is off
  };
  const received = () => {
    clearTimeout(timers.reply);
    state.waiting = state.silent = false;
    repaint();
  };
  const busyChanged = () => {
    clearInterval(timers.clock);
    if (model.get("busy")) {
      state.began = performance.now();
      timers.clock = setInterval(tick, 100);
      tick();
    }
    received();
  };
  const actionsChanged = () => {
    clearTimeout(timers.settle);
    state.settling = true;
    timers.settle = setTimeout(() => {
      state.settling = false;
      repaint();
    }, SETTLE);
    repaint();
  };
  const press = (action) => {
    if (state.waiting || state.settling || gone() || model.get("busy")) return;
    state.origin = document.activeElement;
    // A form may ask for several secrets, and a button for some of them.
    const typed = (name) => form()?.querySelector(`.dm-field-${name} .dm-password input`)?.value;
    const secrets = [model.get("carries"), ...model.get("carries_too")].filter((name) => name && typed(name));
    // A password travels as a binary buffer: it is then in no text that a kernel or server might log.
    const buffers = secrets.map((name) => new TextEncoder().encode(typed(name)));
    state.waiting = state.pressed = true;
    state.silent = false;
    repaint();
    timers.reply = setTimeout(() => {
      state.waiting = false;
      state.silent = true;
      repaint();
    }, REPLY_WITHIN);
    model.send({ action, values: values(), secrets }, undefined, buffers);
  };
  stop.addEventListener("click", () => {
    if (stop.getAttribute("aria-disabled") === "true") return;
    setOff(stop, true);
    model.send({ action: "stop", values: {} });
  });

  const arrange = () => {
    const root = form();
    if (!root || state.closed) return;
    for (const [name, holds] of Object.entries(statesOf(model.get("rules"), values()))) {
      root.classList.toggle(`dm-${name}`, holds);
    }
    if (model.get("with_notes")) drawNotes(root, model.get("notes"));
    setTimeout(() => say(root)); // the choices' own views are notified in the same moment
  };
  const say = (root) => {
    for (const button of root.querySelectorAll(".dm-choices [data-set]")) {
      const field = fields[button.dataset.set];
      if (field) button.setAttribute("aria-pressed", String(String(valueOf(field)) === button.dataset.value));
    }
    sayChoices(root);
    sayFolds(root);
  };
  // What stands in the lower fold and is on is seen: the fold opens, which its user may close again. What somebody else
  // has decided is said in the fold's line.
  const openMore = (names) => {
    const root = form();
    const isOn = (name) => fields[name] && valueOf(fields[name]) && !fields[name].get("disabled");
    if (root && names.some(isOn)) setFold(root, "more", true);
  };
  const followPorts = (typed) => {
    for (const rule of model.get("follow").securities ?? []) {
      const before = implied[rule.field];
      const now = (implied[rule.field] = impliedSecurity(values(), rule));
      const field = fields[rule.field];
      if (typed && before !== now && field.get("index") === before) setValue(field, "index", now);
    }
  };
  const changed = (field) => {
    const name = Object.keys(fields).find((each) => fields[each] === field);
    // What the kernel fills in is complete: a field that followed here would overwrite there what has just been given.
    const typed = !field._state_lock;
    if (typed) {
      const changes = followAddress(memory, values(), model.get("follow").address ?? [], name);
      for (const [each, value] of Object.entries(changes)) setValue(fields[each], "value", value);
    } else if (name === "email_address") {
      Object.assign(memory, { address: field.get("value"), typed: field.get("value") !== "" });
    }
    followPorts(typed);
    arrange();
    if ((model.get("follow").more ?? []).includes(name)) openMore([name]);
  };

  // Only the view in which somebody pressed a button may take the focus, and only once per press; and it is not taken
  // from somebody who goes on typing elsewhere.
  const focusOn = (name) => {
    const root = form();
    const row = root?.querySelector(`.dm-field-${name}`);
    const at = document.activeElement;
    if (!row) return;
    unfold(root, row);
    if (at === document.body || at === state.origin || bar.contains(at) || row.contains(at)) state.focusing = row;
  };
  // What a press has opened is drawn some moments later. Who went on to another place meanwhile stays there.
  const reveal = async (selector) => {
    const from = document.activeElement;
    const found = () => el.closest(".docmail")?.querySelector(selector);
    await until(found, () => state.closed);
    if (![from, document.body, null].includes(document.activeElement) && !bar.contains(document.activeElement)) return;
    found()?.focus({ preventScroll: true });
    found()?.scrollIntoView({ block: "nearest" });
  };
  // The page moves once: to the result, unless it is in view, and to the field, which counts for more.
  const bringIntoView = () => {
    const row = state.focusing;
    state.focusing = null;
    bar.scrollIntoView({ block: "nearest" });
    row?.scrollIntoView({ block: "nearest" });
    if (row) firstField(row)?.focus({ preventScroll: true });
  };
  // A button within a note gives a field a value, or opens a fold.
  const clicked = (event) => {
    const button = event.target.closest?.("[data-set], [data-fold]");
    if (!button || gone()) return;
    const { fold, set, value, then } = button.dataset;
    if (fold) return setFold(form(), fold, !isOpen(form(), fold));
    const field = fields[set];
    setValue(field, field.get("_options_labels") ? "index" : "value", field.get("_options_labels") ? Number(value) : value);
    const row = then && !button.closest(".dm-choices") && form().querySelector(`.dm-field-${then}`);
    if (row) {
      unfold(form(), row);
      firstField(row)?.focus();
    }
  };
  // Escape closes the innermost fold around the focus, and gives the focus to what opens it again.
  const closed = (event) => {
    if (event.key !== "Escape") return;
    const [root, row] = [form(), event.target.closest(".dm-row")];
    const details = event.target.closest("details[open]");
    if (details && root.contains(details)) {
      details.open = false;
      details.querySelector("summary").focus();
      return;
    }
    // With the server's rows the lower fold stands open as well.
    const places = { mailbox: ".dm-in-mailbox", server: ".dm-in-server, .dm-in-more", more: ".dm-in-more" };
    const isAround = (each) => isOpen(root, each) && (event.target.dataset.fold === each || row?.matches(places[each]));
    const within = isAround("mailbox") && isFolding(root, "mailbox");
    const button = Object.keys(FOLD_BUTTONS).find(
      (each) => fields[each]?.get("value") && row?.matches(`.dm-field-${each}, ${FOLD_BUTTONS[each]}`),
    );
    if (button && !within) {
      setValue(fields[button], "value", false);
      root.querySelector(`.dm-field-${button}`).focus();
      return;
    }
    const fold = Object.keys(places).find(isAround);
    if (!fold || !isFolding(root, fold)) return;
    setFold(root, fold, false);
    [...root.querySelectorAll(`[data-fold="${fold}"]`)].find((each) => each.getClientRects().length)?.focus();
  };
  const entered = (event) => {
    const carries = model.get("carries");
    const [action] = model.get("actions")[0] ?? [];
    if (carries && action && event.target.closest(`.dm-field-${carries}`)) press(action);
  };
  // The Provider menu folds away when it is left, and not under the mouse that is just leaving it.
  const pick = (event) => {
    const root = form();
    const inside = (at) => Boolean(at?.closest?.(".dm-field-provider"));
    if (event.type === "focusin") return void (inside(event.target) && root.classList.add("dm-picking"));
    if (!inside(event.target) || inside(event.relatedTarget)) return;
    const end = () => setTimeout(() => inside(document.activeElement) || root.classList.remove("dm-picking"));
    if (pointer.down) root.ownerDocument.addEventListener("pointerup", end, { once: true });
    else end();
  };
  const onMessage = (message, buffers) => {
    if (message.received) received();
    if (message.reveal && state.pressed) {
      state.pressed = false;
      reveal(message.reveal);
    }
    if (message.focus && state.pressed) focusOn(message.focus);
    if (message.download && state.pressed) save(message.download, message.type, buffers);
    if (message.finished && state.pressed) {
      state.pressed = false;
      bringIntoView();
    }
  };
  // The kernel judges a field when it is left, with all values as they stand. One that is left by a click, when the
  // click is done: what the kernel says moves the rows below, and a button that moves under the mouse gets no click.
  const pointer = { down: false, left: null };
  const pointed = ({ type }) => {
    pointer.down = type === "pointerdown";
    if (!pointer.down && pointer.left) sendLeft(pointer.left);
  };
  const sendLeft = (name) => {
    pointer.left = null;
    if (!gone()) model.send({ left: name, values: values() });
  };
  const left = (event) => {
    const row = event.target.closest(".dm-row");
    const name = row && Object.keys(fields).find((each) => row.classList.contains(`dm-field-${each}`));
    if (!name || row.contains(event.relatedTarget)) return;
    if (pointer.down) pointer.left = name;
    else sendLeft(name);
  };
  // Of a password the kernel hears only that it has changed, once after each result.
  const retyped = (event) => {
    if (state.retyped || gone() || !event.target.matches(".dm-password input")) return;
    const name = [...(event.target.closest(".dm-row")?.classList ?? [])].find((each) => each.startsWith("dm-field-"));
    state.retyped = true;
    if (name) model.send({ retyped: name.slice("dm-field-".length) });
  };
  const pressedInNote = (event) => {
    const button = event.target.closest(".dm-note [data-press]");
    if (button) press(button.dataset.press);
  };
  const foldGuide = (root) => {
    for (const guide of root.querySelectorAll(".dm-guide-panel details[open]:not([data-seen])")) {
      guide.dataset.seen = "";
      if (root.clientWidth < NARROW) guide.open = false;
    }
  };

  // Parts of the form may be drawn after this one, and the kernel may replace them.
  const watch = (root) => {
    const observer = new MutationObserver(() => {
      drawNotes(root, model.get("notes"));
      foldGuide(root);
    });
    observer.observe(root, { childList: true, subtree: true });
    const states = new MutationObserver(() => say(root)); // some of them the kernel alone decides
    states.observe(root, { attributes: true, attributeFilter: ["class"] });
    const listeners = [
      [root, "focusout", left],
      [root, "focusin", pick],
      [root, "focusout", pick],
      [root, "click", copyReport, true],
      [root, "click", clicked, true],
      [root, "click", pressedInNote, true],
      [root, "input", retyped],
      [root, "keydown", choose],
      [root, "keydown", closed, true], // a text field lets nobody above it see its keys
      ...POINTER.map((type) => [root.ownerDocument, type, pointed, true]),
    ];
    for (const [at, ...listener] of listeners) at.addEventListener(...listener);
    const releaseKeys = keepKeys(root);
    release = () => {
      observer.disconnect();
      states.disconnect();
      for (const [at, ...listener] of listeners) at.removeEventListener(...listener);
      releaseKeys();
    };
    for (const report of root.querySelectorAll(".dm-report:not(.dm-details)")) report.setAttribute("aria-live", "polite");
    foldGuide(root);
  };
  const begin = async () => {
    const references = Object.entries(model.get("fields"));
    const models = await Promise.all(
      references.map(([, reference]) => model.widget_manager.get_model(reference.replace("IPY_MODEL_", ""))),
    );
    if (state.closed) return;
    fields = Object.fromEntries(references.map(([name], index) => [name, models[index]]));
    memory.address = fields.email_address?.get("value") ?? "";
    for (const field of models) field.on("change:value change:index", changed);
    followPorts(false);
    if (references.length > 0 || model.get("carries")) await until(form, () => state.closed);
    if (state.closed) return;
    arrange();
    openMore(model.get("follow").more ?? []);
    if (form() && model.get("with_notes")) watch(form());
    statusChanged();
    const root = form();
    root?.addEventListener(ENTER, entered);
    leave = () => root?.removeEventListener(ENTER, entered);
    model.send({ ready: true });
  };

  const events = "change:primary change:stoppable change:progress";
  keepKeys(bar);
  busyChanged();
  model.on(events, repaint);
  model.on("change:actions", actionsChanged);
  model.on("change:busy", busyChanged);
  model.on("change:notes", arrange);
  model.on("msg:custom", onMessage);
  model.on("change:status", statusChanged);
  toggle.addEventListener("click", () => open(!form()?.classList.contains(opening())));
  bar.append(buttons, stop, progress, elapsed, status, steps, toggle);
  el.append(bar);
  begin();
  return () => {
    state.closed = true;
    release();
    leave();
    clearTimeout(timers.reply);
    clearTimeout(timers.settle);
    clearInterval(timers.clock);
    for (const field of Object.values(fields)) field.off("change:value change:index", changed);
    model.off(events, repaint);
    model.off("change:actions", actionsChanged);
    model.off("change:busy", busyChanged);
    model.off("change:notes", arrange);
    model.off("change:status", statusChanged);
    model.off("msg:custom", onMessage);
  };
}

function render(context) {
  return context.model.get("part") === "password" ? renderPassword(context) : renderActions(context);
}

export default { render };
