// Every view of docmail contains this line. It is empty while the kernel lives that made the view.
//
// When that kernel is restarted, killed or shut down, the line says so and what to do; the fields stay as they were, and
// are off. The view's outermost element then has the class `dm-gone`, which the other scripts and the style sheets know.
// A view that comes out of a saved notebook has never had a kernel: `markup.static` and `markup.beside` hide it and show words.

const ROOT = ":is(.docmail, .docmail-form)";
const RESTARTED = new Set(["restarting", "autorestarting"]);
const ENDED = new Set(["terminating", "dead"]);
const ROOT_WITHIN = 10_000; // ms; as in controls.js

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
  // What needs no kernel stays on: links, what folds, and copying a report.
  const switchOff = (root) => {
    for (const each of root.querySelectorAll(":is(input, textarea, select, button):not(.dm-copy)")) each.disabled = true;
  };
  // A view is attached to the page some moments after its parts are made.
  const attached = async () => {
    const since = performance.now();
    while (!outermost() && !state.closed && performance.now() - since < ROOT_WITHIN) {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
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

  // A notebook that was saved with the state of its widgets brings this view back without its kernel.
  const begin = async () => {
    await attached();
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
