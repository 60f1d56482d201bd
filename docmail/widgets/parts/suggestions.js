// Offers what the kernel suggests for the address that is being typed in a field for several, in a list below it.
//
// A <datalist> does this for an <input> only, and addresses stand in lines. The pattern is WAI-ARIA's for a list that
// belongs to a text: the focus stays in the text, and `aria-activedescendant` says which entry the arrow keys are at.

const SEPARATOR = /[;,\n](?![^"\n]*"(?:[^"\n]*"[^"\n]*")*[^"\n]*$)/; // not inside quotes, as around a name with a comma

// Returns the text before the address in which the cursor stands, that address as far as it is typed, and what follows.
export function typedIn(text, caret) {
  const before = text.slice(0, caret);
  const last = before.split(SEPARATOR).pop();
  const begin = before.slice(0, before.length - last.length);
  return [begin && !begin.endsWith("\n") ? `${begin.trimEnd()} ` : begin, last.trim(), text.slice(caret)];
}

// `ask(typed)` asks the kernel; what it answers is given to `offer`.
export function attend(input, label, ask, pause) {
  const list = Object.assign(document.createElement("ul"), { className: "dm-offered", hidden: true, id: `${label}-${Math.random()}` });
  let active = -1;
  let timer = 0;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", label);
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-haspopup", "listbox");
  input.setAttribute("aria-controls", list.id);
  input.parentElement.append(list);

  const close = () => {
    clearTimeout(timer);
    list.hidden = true;
    active = -1;
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (index) => {
    active = index;
    [...list.children].forEach((each, at) => each.setAttribute("aria-selected", String(at === index)));
    if (index < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", list.children[index].id);
    list.children[index].scrollIntoView({ block: "nearest" });
  };
  const take = (option) => {
    const [before, , after] = typedIn(input.value, input.selectionStart);
    input.value = before + option + after;
    input.setSelectionRange(before.length + option.length, before.length + option.length);
    close();
    input.dispatchEvent(new Event("input", { bubbles: true })); // ipywidgets listens to it
    clearTimeout(timer); // what was taken is not asked about
  };
  const offer = (options) => {
    const { activeElement } = document;
    const [, typed] = typedIn(input.value, input.selectionStart);
    const fitting = options.filter((option) => option.toLowerCase() !== typed.toLowerCase());
    list.replaceChildren(
      ...fitting.map((option, at) => {
        const entry = Object.assign(document.createElement("li"), { textContent: option, id: `${list.id}-${at}`, dir: "auto" });
        entry.setAttribute("role", "option");
        entry.setAttribute("aria-selected", "false");
        return entry;
      }),
    );
    Object.assign(list.style, { left: `${input.offsetLeft}px`, top: `${input.offsetTop + input.offsetHeight}px`, width: `${input.offsetWidth}px` });
    mark(-1);
    list.hidden = fitting.length === 0 || activeElement !== input;
  };
  const wonder = () => {
    clearTimeout(timer);
    timer = setTimeout(() => ask(typedIn(input.value, input.selectionStart)[1]), pause);
  };
  const key = (event) => {
    if (list.hidden) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      const number = list.children.length;
      mark(active < 0 && step < 0 ? number - 1 : (active + step + number) % number);
    } else if (event.key === "Escape") close();
    else if (event.key === "Enter" && active >= 0) take(list.children[active].textContent);
    else return;
    event.preventDefault();
  };
  input.addEventListener("input", wonder);
  input.addEventListener("focus", wonder);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", key);
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the focus stays in the text
    const entry = event.target.closest("li");
    if (entry) take(entry.textContent);
  });
  return {
    offer,
    release: () => {
      clearTimeout(timer);
      list.remove();
    },
  };
}
