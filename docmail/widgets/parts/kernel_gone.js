// Every view of docmail contains this line. It is empty while the kernel lives that made the view.
//
// When that kernel is restarted, killed or shut down, the line says so and what to do; the fields stay as they were, and
// are off. The view's outermost element then has the class `dm-gone`, which the other scripts and the style sheets know.
// A view that comes out of a saved notebook has never had a kernel: `markup.static` and `markup.beside` hide it and show words.
//
// JupyterLab, Notebook 7, Voilà and Kaggle put each output of a cell into `.jp-OutputArea-child`, where the style of
// `markup.static` shows the view or its fallback. VS Code, nbclassic and Colab do not: VS Code puts the outputs of a cell
// into `.output_container`s side by side (its webviewPreloads.ts), and each output shows the first MIME type that it can
// (`application/vnd.*` before `text/html`). There this line hides one of the two.

import { until } from "./common.js";

const ROOT = ":is(.docmail, .docmail-form)";
const FALLBACK_WITHIN = 3_000; // ms; the fallback stands above, but may be drawn after the view
const RESTARTED = new Set(["restarting", "autorestarting"]);
const ENDED = new Set(["terminating", "dead"]);

function render({ model, el }) {
  const words = model.get("words");
  const state = { lost: "", closed: false };
  let observer;

  const isDisconnected = () => el.classList.contains("jupyter-widgets-disconnected");
  const outermost = () => {
    let root = null;
    for (let at = el.closest(ROOT); at; at = at.parentElement?.closest(ROOT)) root = at;
    return root;
  };
  // What needs no kernel stays on: links, what folds, copying a report, and how a mail is looked at.
  const switchOff = (root) => {
    for (const each of root.querySelectorAll(":is(input, textarea, select, button):not(.dm-copy, .dm-look)")) each.disabled = true;
  };
  // A view is attached to the page some moments after its parts are made.
  const attached = async () => {
    await until(outermost, () => state.closed);
    return state.closed ? null : outermost();
  };
  const say = () => {
    const speaks = state.lost && el.closest(ROOT) === outermost(); // not for the forms within a view, which speaks itself
    el.textContent = speaks ? `${words[state.lost]} ${model.get("what_to_do")}` : "";
  };
  const lose = async (how) => {
    if (state.lost) return;
    state.lost = how;
    const root = await attached();
    if (!root) return;
    root.classList.add("dm-gone");
    say();
    switchOff(root);
    observer = new MutationObserver(() => switchOff(root)); // what was being drawn when it happened
    observer.observe(root, { childList: true, subtree: true });
  };

  // JupyterLab, Notebook and Voilà know more than ipywidgets, which marks its views at a restart only, and some moments
  // later.
  const manager = model.widget_manager;
  const session = manager?.context?.sessionContext ?? manager?.kernel;
  const statusChanged = (_session, status) => {
    if (RESTARTED.has(status)) lose("restarted");
    else if (ENDED.has(status)) lose("ended");
  };
  const kernelChanged = (_session, { oldValue, newValue }) => {
    if (oldValue && oldValue.id !== newValue?.id) lose("ended");
  };
  const marked = () => isDisconnected() && lose("restarted");

  // Returns the fallback of a view where the front end shows both: the last one before it, with no other view between.
  const fallbackOf = (root) => {
    for (let around = root.parentElement; around && !around.contains(document.body); around = around.parentElement) {
      let last = null;
      for (const each of around.querySelectorAll(`.docmail-static, ${ROOT}`)) {
        if (each === root) break;
        if (!root.contains(each) && !each.parentElement.closest(ROOT)) last = each;
      }
      if (last) return last.matches(".docmail-static") ? last : null;
    }
    return null;
  };
  const replace = async () => {
    const root = await attached();
    if (!root || el.closest(ROOT) !== root || root.closest(".jp-OutputArea-child")) return;
    await until(() => fallbackOf(root), () => state.closed, FALLBACK_WITHIN);
    const fallback = state.closed ? null : fallbackOf(root);
    if (fallback) (isDisconnected() ? root : fallback).classList.add("dm-replaced");
  };

  // A notebook that was saved with the state of its widgets brings this view back without its kernel.
  const begin = async () => {
    const root = await attached();
    if (root && !root.closest(".jp-OutputArea-child") && fallbackOf(root)) return;
    const before = el.closest(".jp-OutputArea-child")?.previousElementSibling;
    if (!before?.querySelector(".docmail-static, .docmail-beside")) lose("ended");
  };

  el.classList.add("dm-lifeline");
  el.setAttribute("role", "status");
  model.on("comm_live_update", marked);
  model.on("change:what_to_do", say);
  session?.statusChanged?.connect(statusChanged);
  session?.kernelChanged?.connect(kernelChanged);
  if (isDisconnected()) begin();
  replace();
  return () => {
    state.closed = true;
    observer?.disconnect();
    model.off("comm_live_update", marked);
    model.off("change:what_to_do", say);
    session?.statusChanged?.disconnect(statusChanged);
    session?.kernelChanged?.disconnect(kernelChanged);
  };
}

export default { render };
