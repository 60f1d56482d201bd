// Two parts of docmail's forms that ordinary widgets cannot play.
//
// "password": an input whose value never becomes widget state (that is stored in notebooks and echoed to all clients).
// "actions":  the buttons. One click sends one message with the action, the values of all fields and the password,
//             because messages of different widgets may overtake each other while a cell runs.
//
// Which rows are shown is decided here as well, so that a keystroke never waits for the kernel: the form's element
// carries a class `dm-STATE` for each rule that holds. And here the notes beside the fields are drawn.

const ANSWER_WITHIN = 10_000; // ms; a kernel that is silent for longer is busy, restarted or gone
const SETTLE = 700; // ms; whoever clicks twice has not read what the button says now
const ROOT_WITHIN = 10_000; // ms; the form is attached to the page some moments after its parts are made
const NARROW = 800; // px; below, the guide stands under the form and is folded (as in controls.css)

function create(tag, className, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.className = className;
  return element;
}

const newId = () => `docmail-${Math.random().toString(36).slice(2)}`;

// A button that is off keeps the focus: one that is `disabled` loses it, and its user would go on from the page's top.
const setOff = (button, off) => button.setAttribute("aria-disabled", String(off));

// JupyterLab's shortcuts must not see what is pressed here: with a focused button, "dd" would delete the cell, and
// Shift+Enter run it again. Control+S and the like still save the notebook.
function keepKeys(element) {
  const keep = (event) => {
    if (event.key === "Enter" || !(event.ctrlKey || event.metaKey)) event.stopPropagation();
  };
  for (const type of ["keydown", "keypress", "keyup"]) element.addEventListener(type, keep);
  return () => {
    for (const type of ["keydown", "keypress", "keyup"]) element.removeEventListener(type, keep);
  };
}

function renderPassword({ model, el }) {
  const id = newId();
  const label = create("label", "widget-label", { htmlFor: id, textContent: model.get("label") });
  const field = create("div", "dm-password widget-text");
  const input = create("input", "", { id, type: "password", autocomplete: "new-password", spellcheck: false });
  input.setAttribute("autocapitalize", "off");
  input.dataset.form = model.get("form");
  // The words by which password managers are told that this is not the place for the login of this site.
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
  const hear = (message) => {
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
    if (event.key === "Enter") event.preventDefault();
  });
  keepKeys(field);
  show(false);
  paint();
  input.value = [...siblings()].find((sibling) => sibling.value)?.value ?? "";
  model.on("change:placeholder", paint);
  model.on("change:label", paint);
  model.on("msg:custom", hear);
  field.append(input, toggle);
  el.classList.add("jupyter-widgets", "widget-inline-hbox");
  el.append(label, field);
  return () => {
    input.value = "";
    model.off("change:placeholder", paint);
    model.off("change:label", paint);
    model.off("msg:custom", hear);
  };
}

const TESTS = {
  is: (value, wanted) => value === wanted,
  lacks: (value, part) => value !== "" && !String(value).includes(part),
};

// A selection widget's front-end model knows the index of what is chosen, not its value.
const valueOf = (field) => (field.get("_options_labels") ? field.get("index") : field.get("value"));

// ipywidgets shows what is chosen by colour alone, and does not connect the buttons with their label.
function sayChoices(root) {
  for (const group of root.querySelectorAll(".widget-toggle-buttons")) {
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", group.querySelector("label")?.textContent ?? "");
    for (const button of group.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.classList.contains("mod-active")));
    }
  }
  for (const button of root.querySelectorAll(".dm-fold-button")) {
    button.setAttribute("aria-expanded", String(button.classList.contains("mod-active")));
  }
}

// Draw beside each field what the kernel has to say about it, and tell assistive technology.
function drawNotes(root, notes) {
  const rows = [...root.querySelectorAll(".dm-row")].filter((row) => row.closest(".docmail-form") === root);
  for (const row of rows) {
    const name = [...row.classList].find((each) => each.startsWith("dm-field-"))?.slice("dm-field-".length);
    const [kind, html] = notes[name] ?? ["help", ""];
    let note = row.querySelector(":scope > .dm-note");
    if (!note && html) row.append((note = create("div", "dm-note", { id: newId() })));
    if (note && note.docmail !== html) {
      note.docmail = note.innerHTML = html;
    }
    row.classList.toggle("dm-invalid", kind === "bad");
    for (const input of row.querySelectorAll("input, textarea, select")) {
      if (note) input.setAttribute("aria-describedby", note.id);
      input.setAttribute("aria-invalid", String(kind === "bad"));
      // A saved login of this site is not what belongs here; passwords have their own word for it.
      if (input.type !== "password") input.autocomplete = "off";
    }
  }
}

// The security that the port implies: 465 TLS, otherwise STARTTLS (RFC 8314).
function impliedSecurity(values, follow) {
  const port = follow.ports[values.port] ?? values.port_number;
  return String(port).trim() === "465" ? follow.tls : follow.starttls;
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
  const silence = create("div", "dm-silence dm-problem");
  silence.setAttribute("role", "status");
  const state = { waiting: false, settling: false, silent: false, pressed: false, closed: false, began: 0 };
  state.focused = null; // the action whose button had the focus last
  const timers = { answer: 0, clock: 0, settle: 0 };
  let fields = {};
  let implied;
  let address = "";
  let release = () => {};

  const form = () => el.closest(".docmail-form");
  const gone = () => el.closest(".dm-gone") !== null; // see kernel_gone.js, which switches the buttons off
  const values = () => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, valueOf(field)]));

  const paint = () => {
    const busy = model.get("busy");
    const off = busy || state.waiting || state.settling;
    const actions = model.get("actions");
    // A button that is replaced between mouse down and mouse up never hears of the click.
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
    silence.hidden = !state.silent;
    silence.textContent = state.silent ? words.silent : "";
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
  const answered = () => {
    clearTimeout(timers.answer);
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
    answered();
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
    const secret = model.get("carries"); // a form may ask for several secrets, and a button for one of them
    const input = secret ? form()?.querySelector(`.dm-field-${secret} .dm-password input`) : null;
    // The password travels as a binary buffer: it is then in no text that a kernel or server might log.
    const buffers = input?.value ? [new TextEncoder().encode(input.value)] : [];
    state.waiting = state.pressed = true;
    state.silent = false;
    repaint();
    timers.answer = setTimeout(() => {
      state.waiting = false;
      state.silent = true;
      repaint();
    }, ANSWER_WITHIN);
    model.send({ action, values: values() }, undefined, buffers);
  };
  stop.addEventListener("click", () => {
    if (stop.getAttribute("aria-disabled") === "true") return;
    setOff(stop, true);
    model.send({ action: "stop", values: {} });
  });

  const arrange = () => {
    const root = form();
    if (!root || state.closed) return;
    const now = values();
    const held = new Map(); // of several rules for one state, one is enough
    for (const rule of model.get("rules")) {
      held.set(rule.state, held.get(rule.state) || TESTS[rule.test](now[rule.field], rule.value));
    }
    for (const [name, holds] of held) {
      root.classList.toggle(`dm-${name}`, holds);
    }
    if (model.get("with_notes")) drawNotes(root, model.get("notes"));
    setTimeout(() => sayChoices(root)); // the choices' own views hear of the change in the same moment
  };
  const followPort = () => {
    const follow = model.get("follow");
    if (!("ports" in follow)) return;
    const before = implied;
    implied = impliedSecurity(values(), follow);
    if (before !== undefined && before !== implied && fields.security.get("index") === before) {
      setValue(fields.security, "index", implied);
    }
  };
  // The username and HTTP's reply-to are the email address until somebody changes them. The other way round a username
  // that is an address is the email address, unless that was typed itself.
  const followAddress = (changed) => {
    const followers = model.get("follow").address ?? [];
    if (!followers.length) return;
    const now = fields.email_address.get("value");
    if (now !== address) {
      for (const name of followers) {
        if (fields[name].get("value") === address) setValue(fields[name], "value", now);
      }
      address = now;
      state.typed = now !== "";
    } else if (changed === fields.username && !state.typed && changed.get("value").includes("@")) {
      address = changed.get("value");
      setValue(fields.email_address, "value", address);
    }
  };
  const changed = (field) => {
    followAddress(field);
    followPort();
    arrange();
  };

  // Only the view in which somebody pressed a button may take the focus, and only once per press.
  const focusOn = (name) => {
    const row = form()?.querySelector(`.dm-field-${name}`);
    row?.scrollIntoView({ block: "nearest" });
    row?.querySelector("input, textarea, select, button")?.focus({ preventScroll: true });
  };
  const download = (name, type, [content]) => {
    const link = create("a", "", { download: name, href: URL.createObjectURL(new Blob([content], { type })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };
  const hear = (message, buffers) => {
    if (message.answered) answered();
    if (message.focus && state.pressed) focusOn(message.focus);
    if (message.download && state.pressed) download(message.download, message.type, buffers);
    if (message.finished) state.pressed = false;
  };
  // The kernel judges a field when it is left, with all values as they stand.
  const left = (event) => {
    const row = event.target.closest(".dm-row");
    const name = row && Object.keys(fields).find((each) => row.classList.contains(`dm-field-${each}`));
    if (name && !row.contains(event.relatedTarget) && !gone()) model.send({ left: name, values: values() });
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
    root.addEventListener("focusout", left);
    root.addEventListener("click", copyReport);
    const releaseKeys = keepKeys(root);
    release = () => {
      observer.disconnect();
      root.removeEventListener("focusout", left);
      root.removeEventListener("click", copyReport);
      releaseKeys();
    };
    for (const report of root.querySelectorAll(".dm-report")) report.setAttribute("aria-live", "polite");
    foldGuide(root);
  };
  const begin = async () => {
    const references = Object.entries(model.get("fields"));
    const models = await Promise.all(
      references.map(([, reference]) => model.widget_manager.get_model(reference.replace("IPY_MODEL_", ""))),
    );
    if (state.closed) return;
    fields = Object.fromEntries(references.map(([name], index) => [name, models[index]]));
    address = fields.email_address?.get("value") ?? "";
    for (const field of models) field.on("change:value change:index", changed);
    followPort();
    const since = performance.now();
    while (references.length > 0 && !form() && !state.closed && performance.now() - since < ROOT_WITHIN) {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    if (state.closed) return;
    arrange();
    if (form() && model.get("with_notes")) watch(form());
    model.send({ ready: true });
  };

  const events = "change:primary change:stoppable change:progress";
  keepKeys(bar);
  busyChanged();
  model.on(events, repaint);
  model.on("change:actions", actionsChanged);
  model.on("change:busy", busyChanged);
  model.on("change:notes", arrange);
  model.on("msg:custom", hear);
  bar.append(buttons, stop, progress, elapsed);
  el.append(bar, silence);
  begin();
  return () => {
    state.closed = true;
    release();
    clearTimeout(timers.answer);
    clearTimeout(timers.settle);
    clearInterval(timers.clock);
    for (const field of Object.values(fields)) field.off("change:value change:index", changed);
    model.off(events, repaint);
    model.off("change:actions", actionsChanged);
    model.off("change:busy", busyChanged);
    model.off("change:notes", arrange);
    model.off("msg:custom", hear);
  };
}

function render(context) {
  return context.model.get("part") === "password" ? renderPassword(context) : renderActions(context);
}

export default { render };
