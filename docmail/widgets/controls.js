// Two parts of docmail's forms that ordinary widgets cannot play.
//
// "password": an input whose value never becomes widget state (that is stored in notebooks and echoed to all clients).
// "actions":  the buttons. One click sends one message with the action, the values of all fields and the password,
//             because messages of different widgets may overtake each other while a cell runs.
//
// Which rows are shown is decided here as well, so that a keystroke never waits for the kernel: the form's element
// carries a class `dm-STATE` for each rule that holds.

const ANSWER_WITHIN = 10_000; // ms; a kernel that is silent for longer is busy, restarted or gone
const SETTLE = 700; // ms; whoever clicks twice has not read what the button says now
const ROOT_WITHIN = 10_000; // ms; the form is attached to the page some moments after its parts are made

function create(tag, className, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.className = className;
  return element;
}

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
  const id = `docmail-${Math.random().toString(36).slice(2)}`;
  const label = create("label", "widget-label", { htmlFor: id, textContent: model.get("label") });
  const field = create("div", "dm-password widget-text");
  const input = create("input", "", { id, type: "password", autocomplete: "new-password", spellcheck: false });
  input.setAttribute("autocapitalize", "off");
  const toggle = create("button", "dm-show jupyter-button widget-button", { type: "button" });
  const words = model.get("words");

  const show = (visible) => {
    input.type = visible ? "text" : "password";
    toggle.textContent = visible ? words.hide : words.show;
    toggle.setAttribute("aria-pressed", String(visible));
    toggle.setAttribute("aria-label", visible ? words.hide_password : words.show_password);
  };
  const paint = () => {
    input.placeholder = model.get("placeholder");
  };
  const hear = (message) => {
    if (message.clear) {
      input.value = "";
      show(false);
    }
  };
  toggle.addEventListener("click", () => show(input.type === "password"));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  keepKeys(field);
  show(false);
  paint();
  model.on("change:placeholder", paint);
  model.on("msg:custom", hear);
  field.append(input, toggle);
  el.classList.add("jupyter-widgets", "widget-inline-hbox", "dm-control");
  el.append(label, field);
  return () => {
    input.value = "";
    model.off("change:placeholder", paint);
    model.off("msg:custom", hear);
  };
}

const TESTS = {
  is: (value, wanted) => value === wanted,
  lacks: (value, part) => !String(value).includes(part),
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
}

// The security that the port implies: 465 TLS, otherwise STARTTLS (RFC 8314).
function impliedSecurity(values, follow) {
  const port = follow.ports[values.port] ?? values.port_number;
  return String(port).trim() === "465" ? follow.tls : follow.starttls;
}

function renderActions({ model, el }) {
  const words = model.get("words");
  const bar = create("div", "dm-actions");
  const buttons = create("div", "dm-buttons");
  const stop = create("button", "dm-stop jupyter-button widget-button", { type: "button", textContent: words.stop });
  const progress = create("progress", "dm-progress", { max: 1 });
  const elapsed = create("span", "dm-elapsed");
  const silence = create("div", "dm-silence dm-problem", { textContent: words.silent });
  silence.setAttribute("role", "status");
  const state = { waiting: false, settling: false, silent: false, pressed: false, closed: false, began: 0 };
  const timers = { answer: 0, clock: 0, settle: 0 };
  let fields = {};
  let implied;
  let releaseKeys = () => {};

  const form = () => el.closest(".docmail-form");
  const values = () => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, valueOf(field)]));

  const paint = () => {
    const busy = model.get("busy");
    const off = busy || state.waiting || state.settling;
    buttons.replaceChildren(
      ...model.get("actions").map(([action, text]) => {
        const primary = action === model.get("primary") ? " mod-primary" : "";
        const button = create("button", `jupyter-button widget-button${primary}`, { type: "button", textContent: text });
        button.dataset.action = action;
        button.disabled = off;
        button.addEventListener("click", () => press(action));
        return button;
      }),
    );
    stop.hidden = !busy;
    stop.disabled = !model.get("stoppable");
    const share = model.get("progress");
    progress.hidden = !busy || share < 0;
    progress.value = Math.max(0, share);
    elapsed.hidden = !busy;
    silence.hidden = !state.silent;
  };
  // Replacing a focused button would send the keyboard's user back to the top of the page.
  const repaint = () => {
    const focused = buttons.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    paint();
    if (focused) (model.get("busy") ? stop : buttons.querySelector(`[data-action="${focused}"]`))?.focus();
  };
  const tick = () => {
    elapsed.textContent = `${((performance.now() - state.began) / 1000).toFixed(1)} s`;
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
    if (state.waiting || state.settling || model.get("busy")) return;
    const input = model.get("with_password") ? form()?.querySelector(".dm-password input") : null;
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
    stop.disabled = true;
    model.send({ action: "stop", values: {} });
  });

  const arrange = () => {
    const root = form();
    if (!root) return;
    const now = values();
    for (const rule of model.get("rules")) {
      root.classList.toggle(`dm-${rule.state}`, TESTS[rule.test](now[rule.field], rule.value));
    }
    setTimeout(() => sayChoices(root)); // the choices' own views hear of the change in the same moment
  };
  const followPort = () => {
    const follow = model.get("follow");
    if (!("ports" in follow)) return;
    const before = implied;
    implied = impliedSecurity(values(), follow);
    const security = fields.security;
    if (before !== undefined && before !== implied && security.get("index") === before) {
      security.set("index", implied);
      security.save_changes();
    }
  };
  const changed = () => {
    followPort();
    arrange();
  };

  const markInvalid = (names) => {
    for (const row of form()?.querySelectorAll(".dm-row") ?? []) {
      const invalid = names.some((name) => row.classList.contains(`dm-field-${name}`));
      for (const input of row.querySelectorAll("input, textarea")) input.setAttribute("aria-invalid", String(invalid));
    }
  };
  const focusOn = (name) => {
    const row = form()?.querySelector(`.dm-field-${name}`);
    row?.scrollIntoView({ block: "nearest" });
    row?.querySelector("input, textarea, button")?.focus({ preventScroll: true });
  };
  const download = (name, type, [content]) => {
    const link = create("a", "", { download: name, href: URL.createObjectURL(new Blob([content], { type })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };
  const hear = (message, buffers) => {
    if (message.answered) answered();
    if (message.invalid) markInvalid(message.invalid);
    // Only the view in which somebody pressed a button may take the focus, and only once per press.
    if (message.focus && state.pressed) focusOn(message.focus);
    if (message.download && state.pressed) download(message.download, message.type, buffers);
    if (message.finished) state.pressed = false;
  };

  const begin = async () => {
    const references = Object.entries(model.get("fields"));
    const models = await Promise.all(
      references.map(([, reference]) => model.widget_manager.get_model(reference.replace("IPY_MODEL_", ""))),
    );
    if (state.closed) return;
    fields = Object.fromEntries(references.map(([name], index) => [name, models[index]]));
    for (const field of models) field.on("change:value change:index", changed);
    followPort();
    const since = performance.now();
    const belongsToForm = references.length > 0;
    while (belongsToForm && !form() && !state.closed && performance.now() - since < ROOT_WITHIN) {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    arrange();
    if (form()) releaseKeys = keepKeys(form());
    form()?.querySelector(".dm-report")?.setAttribute("aria-live", "polite");
    model.send({ ready: true });
  };

  const events = "change:primary change:stoppable change:progress";
  keepKeys(bar);
  busyChanged();
  model.on(events, repaint);
  model.on("change:actions", actionsChanged);
  model.on("change:busy", busyChanged);
  model.on("msg:custom", hear);
  bar.append(buttons, stop, progress, elapsed);
  el.append(bar, silence);
  begin();
  return () => {
    state.closed = true;
    releaseKeys();
    clearTimeout(timers.answer);
    clearTimeout(timers.settle);
    clearInterval(timers.clock);
    for (const field of Object.values(fields)) field.off("change:value change:index", changed);
    model.off(events, repaint);
    model.off("change:actions", actionsChanged);
    model.off("change:busy", busyChanged);
    model.off("msg:custom", hear);
  };
}

function render(context) {
  return context.model.get("part") === "password" ? renderPassword(context) : renderActions(context);
}

export default { render };
