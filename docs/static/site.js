// What the pages lack for those who do without a mouse, or listen to them.

const each = (selector, change) => document.querySelectorAll(selector).forEach(change);

function become(element, name, className) {
  const other = document.createElement(name);
  other.className = className;
  other.append(...element.childNodes);
  element.replaceWith(other);
}

// What scrolls must take the focus, so that arrow keys reach all of it; the rest must not, or Tab would take for ever.
function letScroll() {
  each(".highlight pre, .table-wrapper, .cell_output > .output, .toc-scroll, .sidebar-scroll", (box) => {
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
}

document.addEventListener("DOMContentLoaded", () => {
  each(".sidebar-drawer", (aside) => aside.setAttribute("aria-label", "All pages"));
  each(".toc-drawer", (aside) => aside.setAttribute("aria-label", "On this page"));
  each(".sidebar-tree .caption", (caption) => caption.setAttribute("aria-level", "2"));
  // The lines of a long signature are no terms with what they mean.
  each("dt.sig dl > dd", (line) => become(line, "div", "sig-line"));
  each("dt.sig dl", (lines) => become(lines, "div", "sig-lines"));
  // Above the index of a DataFrame, and above numbers, nothing stands.
  each("th", (cell) => cell.textContent.trim() || become(cell, "td", ""));
  letScroll();
});
addEventListener("load", letScroll);
addEventListener("resize", letScroll);
