// What the kernel draws, and a notebook must not keep: addresses, the record of mail, a document's later pages.
//
// It comes as messages, never as widget state (that is stored in notebooks and echoed to all clients). The HTML consists
// of zones, <div data-zone="NAME">, which the kernel replaces one by one. A zone within a zone that is replaced stays as
// it is. A mail is drawn in a zone of its own (`rendered_mail.py`). In a zone
//   data-press="ACTION" data-id="ID"    a click sends the action, with the values of all inputs that have a data-name
//   data-careful                        a button that is off until a person can have read what it says
//   data-live                           an input whose changes are sent when the typing pauses
//   data-enter="ACTION"                 what Enter in an input does
//   data-arrows="LEFT RIGHT"            what the arrow keys do inside an element
//   data-line                           one of the buttons of a list, in which the arrow keys go up and down
//   data-keep                           an input whose text stays as it was typed when its zone is drawn anew
//   data-place="CLASS"                  where the widget of this class beside this one is shown
//   data-upload                         an input for files, whose content goes to the kernel in pieces
//   data-insert="TEXT"                  a click writes the text into the field of the form that was typed in last
// Beside a form's own fields it offers what the kernel suggests for them.

import { REPLY_WITHIN, SETTLE, create, keepKeys, newId, save, until } from "./common.js";
import { takeDrops } from "./dropping.js";
import { changeMail, openMail } from "./rendered_mail.js";
import { attend } from "./suggestions.js";

const TYPING = 250; // ms without a key after which the change is sent
const REVEAL_WITHIN = 3_000; // ms
const READY_AGAIN = 1_000; // ms without an answer; then three times as long, up to
const READY_AT_LAST = 10_000;
const PIECE = 1 << 20; // bytes in one message; notebook servers close the connection at ten million

// What stands in a place after it is drawn anew; a focused element is found again by this.
const identity = (element) =>
  ["press", "id", "name", "arrows", "upload"].map((key) => element?.dataset?.[key] ?? "").join("|");

function renderPainted({ model, el }) {
  const words = model.get("words");
  const drawn = {};
  const uploads = new Map(); // what waits for the kernel's word on a piece
  const state = { pressed: false, closed: false, drawn: false, answered: false };
  const looks = { look: "desktop" };
  const timers = { typing: 0, reply: 0, ready: 0 };
  const view = newId();
  const status = create("div", "dm-silence dm-problem", { hidden: true });
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
    clearTimeout(timers.reply);
    timers.reply = setTimeout(() => say(words.silent), REPLY_WITHIN);
    model.send(content, undefined, buffers);
  };
  const press = (action, element) => {
    if (gone()) return;
    const { id = "" } = element.dataset;
    state.pressed = true;
    element.setAttribute("aria-busy", "true");
    send({ press: action, id, values: values() });
  };

  // After a redraw the focus stays where it was; where that is gone or off, it goes beside it.
  const successor = (before, id, zone) => {
    const usable = (place) => [...place.querySelectorAll("button, input, select, [tabindex]")].filter((each) => !each.disabled);
    const same = [...el.querySelectorAll("button, input, select, [tabindex]")].find((each) => identity(each) === before);
    if (same) return same.disabled ? usable(same.parentElement)[0] : same;
    const near = usable(zone);
    return near.findLast((each) => id && each.dataset.id === id) ?? near[0] ?? usable(el)[0];
  };
  const nested = (zone) => [...zone.querySelectorAll("[data-zone]")];
  const fill = (zone, html) => {
    const template = create("template", "", { innerHTML: html });
    const [mail, fresh] = [zone.querySelector(".dm-mail"), template.content.querySelector(".dm-mail")];
    if (mail?.parentElement === zone && fresh) {
      changeMail(mail, fresh);
      return;
    }
    const [before, inner] = [[...zone.childNodes], nested(zone)];
    zone.append(template.content);
    for (const place of nested(zone).filter((each) => !inner.includes(each))) {
      const { zone: name } = place.dataset;
      const same = inner.find((each) => each.dataset.zone === name);
      if (same) {
        const into = place.parentNode;
        (into.moveBefore ?? into.insertBefore).call(into, same, place); // a frame that is inserted loads its page again
        place.remove();
      } else if (drawn[name]) fill(place, drawn[name]);
    }
    before.forEach((each) => each.remove());
    for (const opened of zone.querySelectorAll(".dm-mail:not([data-look])")) openMail(opened, looks);
  };
  // A widget of the kernel's, which no HTML can hold, is shown where the HTML wants it. It leaves before that is drawn anew.
  const guests = () => [...(el.parentElement?.children ?? [])].filter((each) => each !== el);
  const takeIn = () => {
    for (const place of el.querySelectorAll("[data-place]")) {
      const guest = guests().find((each) => each.classList.contains(place.dataset.place));
      if (guest) place.append(guest);
    }
  };
  const letOut = (zone) => {
    for (const place of zone.querySelectorAll("[data-place]")) el.after(...place.children);
  };
  const typedIn = (zone) =>
    Object.fromEntries([...zone.querySelectorAll("[data-keep]")].map((input) => [input.dataset.name, input]));
  const draw = (zones) => {
    const at = document.activeElement;
    let left = null; // the zone in which the focus stands, if that is drawn anew
    for (const [name, html] of Object.entries(zones)) {
      if (drawn[name] === html) continue;
      drawn[name] = html;
      let zone = el.querySelector(`[data-zone="${name}"]`);
      if (!zone && !html) continue;
      if (!zone) {
        zone = document.createElement("div");
        zone.dataset.zone = name;
        el.insertBefore(zone, status);
      }
      if (zone.contains(at)) left = zone;
      letOut(zone);
      const before = typedIn(zone);
      fill(zone, html);
      for (const [key, input] of Object.entries(typedIn(zone))) {
        if (before[key] && before[key].value !== before[key].defaultValue) input.value = before[key].value;
      }
      const careful = [...zone.querySelectorAll("[data-careful]")];
      for (const button of careful) button.disabled = true;
      setTimeout(() => careful.forEach((button) => (button.disabled = gone())), SETTLE);
    }
    takeIn();
    if (left && !el.contains(document.activeElement)) {
      const next = successor(identity(at), at.dataset.id, left);
      next?.focus({ preventScroll: true });
      if (next?.dataset.keep !== undefined) next.setSelectionRange(at.selectionStart, at.selectionEnd);
    }
  };

  const upload = async (file) => {
    const id = newId();
    for (let at = 0; at === 0 || at < file.size; at += PIECE) {
      let piece;
      try {
        piece = await file.slice(at, at + PIECE).arrayBuffer();
      } catch {
        send({ unread: file.name, piece: id }); // it was moved or changed, or is locked, or is a folder
        return;
      }
      const taken = await new Promise((resolve) => {
        uploads.set(id, resolve);
        send({ piece: id, name: file.name, size: file.size, at }, [piece]);
      });
      uploads.delete(id);
      if (!taken) return;
    }
  };

  const uploadAll = async (files, folders = []) => {
    if (gone()) return;
    send({ dropped: true, folders });
    for (const file of files) await upload(file);
  };

  // Where the cursor was last in one of the fields whose values come with a press.
  let releaseDrops = () => {};
  let written = null;
  const writing = ({ target }) => {
    if (model.get("reads").some((name) => field(name) === target)) written = target;
  };
  const insert = (text) => {
    const into = written ?? field(model.get("reads").at(-1));
    if (!into || gone()) return;
    into.focus();
    into.setRangeText(text, into.selectionStart, into.selectionEnd, "end");
    into.dispatchEvent(new Event("input", { bubbles: true })); // ipywidgets listens to it
  };

  const click = (event) => {
    const inserts = event.target.closest("[data-insert]");
    if (inserts && !inserts.disabled) insert(inserts.dataset.insert);
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
    await uploadAll(files);
  };
  const key = (event) => {
    const { enter } = event.target.dataset ?? {};
    if (event.key === "Enter" && enter) {
      event.preventDefault();
      press(enter, event.target);
    }
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step && event.target.dataset?.line !== undefined) {
      event.preventDefault();
      const lines = [...el.querySelectorAll("[data-line]")];
      const next = lines[lines.indexOf(event.target) + step];
      next?.focus();
      next?.click();
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
    const before = el.parentElement?.querySelector(selector);
    const found = () => [...(el.parentElement?.querySelectorAll(selector) ?? [])].find((each) => each !== before);
    await until(found, () => state.closed, REVEAL_WITHIN);
    const shown = found() ?? before;
    shown?.scrollIntoView({ block: "center" });
    shown?.focus({ preventScroll: true });
  };

  const onMessage = (message, buffers) => {
    clearTimeout(timers.reply);
    if (message.view === view) state.answered = true; // others' answers, and what changes, may come before
    say("");
    for (const busy of el.querySelectorAll("[aria-busy]")) busy.removeAttribute("aria-busy");
    if (message.draw) {
      state.drawn = true;
      draw(message.draw);
    }
    if (message.piece) uploads.get(message.piece)?.(message.taken);
    if (message.download && state.pressed) save(message.download, message.type, buffers);
    if (message.focus && state.pressed) el.querySelector(message.focus)?.focus();
    if (message.reveal && state.pressed) reveal(message.reveal);
    if (message.suggest) offer(message.suggest, message.options);
  };

  // --- suggestions for the fields of the form in which this stands ---
  const offered = {};
  const offer = (name, options) => offered[name]?.offer(options);
  // Until JupyterLab has a subshell for it, a message waits behind the cell that runs, which may be a batch of an hour.
  const sayReady = (comma, wait) => {
    if (state.closed || state.answered || gone()) return;
    model.send({ ready: true, view, ratio: window.devicePixelRatio || 1, comma });
    if (wait < READY_AT_LAST) timers.ready = setTimeout(sayReady, wait, comma, 3 * wait);
  };
  const showStored = () => {
    if (state.drawn) return;
    el.innerHTML = model.get("stored");
    el.append(status);
  };
  const begin = async () => {
    const names = model.get("suggests");
    await until(() => names.every(field), () => state.closed);
    if (state.closed) return;
    for (const name of names.filter(field)) {
      const ask = (typed) => !gone() && model.send({ suggest: name, typed });
      offered[name] = attend(field(name), words.suggestions, ask, TYPING);
    }
    const comma = new Intl.NumberFormat(navigator.language).format(1.5).includes(",");
    const reads = model.get("reads").length > 0;
    if (reads || words.drop) await until(() => el.closest(".docmail-form"), () => state.closed);
    const root = el.closest(".docmail-form");
    if (state.closed) return;
    if (root && reads) root.addEventListener("focusin", writing);
    if (root && words.drop) releaseDrops = takeDrops(root, words.drop, uploadAll);
    sayReady(comma, READY_AGAIN);
  };

  showStored();
  el.classList.add("jupyter-widgets", "dm-painted");
  keepKeys(el);
  el.addEventListener("click", click);
  el.addEventListener("input", typed);
  el.addEventListener("change", chosen);
  el.addEventListener("keydown", key);
  model.on("msg:custom", onMessage);
  model.on("change:stored", showStored);
  begin();
  return () => {
    state.closed = true;
    clearTimeout(timers.typing);
    clearTimeout(timers.reply);
    clearTimeout(timers.ready);
    model.off("msg:custom", onMessage);
    model.off("change:stored", showStored);
    releaseDrops();
    el.closest(".docmail-form")?.removeEventListener("focusin", writing);
    for (const each of Object.values(offered)) each.release();
    try {
      model.send({ closed: true });
    } catch {} // its kernel is gone
  };
}

export default { render: renderPainted };
