// What the scripts of docmail's views share. `scripts.py` puts it in the place of the line that imports from it, because
// anywidget takes one file for each; its rules are tested in Node (tests/widgets/parts/common.test.mjs).

export const REPLY_WITHIN = 10_000; // ms; a kernel that is silent for longer is busy, restarted or gone
export const SETTLE = 700; // ms; a person who clicks twice has not read what the button says now
const ATTACHED_WITHIN = 10_000; // ms; a view is attached to the page some moments after its parts are made

export function create(tag, className, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.className = className;
  return element;
}

export const newId = () => `docmail-${Math.random().toString(36).slice(2)}`;

// JupyterLab's shortcuts must not see what is pressed here: with a focused button, "dd" would delete the cell, and
// Shift+Enter run it again. Control+S and the like still save the notebook.
export function keepKeys(element) {
  const keep = (event) => {
    if (event.key === "Enter" || !(event.ctrlKey || event.metaKey)) event.stopPropagation();
  };
  for (const type of ["keydown", "keypress", "keyup"]) element.addEventListener(type, keep);
  return () => {
    for (const type of ["keydown", "keypress", "keyup"]) element.removeEventListener(type, keep);
  };
}

// Let the browser save a file, whose content is the one buffer of a message.
export function save(name, type, [content]) {
  const link = create("a", "", { download: name, href: URL.createObjectURL(new Blob([content], { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Waits until a condition holds, the view is closed, or time is up; returns whether the condition holds.
export async function until(condition, isClosed, within = ATTACHED_WITHIN) {
  const since = performance.now();
  while (!condition() && !isClosed() && performance.now() - since < within) {
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  return Boolean(condition());
}

// --- the rules of a form ---

const TESTS = {
  is: (value, wanted) => value === wanted,
  lacks: (value, part) => value !== "" && !String(value).includes(part),
};

// Returns for each state whether one of its rules holds for the values on the screen.
export function statesOf(rules, values) {
  const states = {};
  for (const { state, test, field, value } of rules) states[state] ||= TESTS[test](values[field], value);
  return states;
}

// Returns the place of the security that a port implies, as the kernel says in `rule`; the port is chosen, or typed.
export function impliedSecurity(values, rule) {
  const port = rule.ports[values[rule.chosen]] ?? values[rule.typed];
  return rule.places[String(port).trim()] ?? rule.otherwise;
}

// The followers of the email address say the same as it until somebody changes them. The other way round a username that
// is an address is the email address, unless that was typed itself. Returns the fields to change, and keeps in `memory`
// the address and whether it was typed.
export function followAddress(memory, values, followers, changed) {
  const { email_address: now, username } = values;
  if (!followers.length) return {};
  if (now !== memory.address) {
    const followed = followers.filter((name) => values[name] === memory.address);
    Object.assign(memory, { address: now, typed: now !== "" });
    return Object.fromEntries(followed.map((name) => [name, now]));
  }
  if (changed !== "username" || memory.typed || !username.includes("@")) return {};
  memory.address = username;
  return { email_address: username };
}
