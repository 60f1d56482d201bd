// Brings to life what `rendered_mail.py` draws: the frame gets the height of the mail, a link says where it leads, and the
// buttons choose how the mail is looked at. Why the frame is safe stands there.
//
// The page in the frame is a stranger's. A form or picture in it whose name is "querySelector" hides the method of that
// name from whoever asks the document for it, so what is needed is taken from the prototypes.

const MOST = 20_000; // px; a longer mail scrolls inside its frame
const SCROLLBAR = 16; // px

const rootOf = (page) => Object.getOwnPropertyDescriptor(Document.prototype, "documentElement").get.call(page);
const listen = (page, type, handler) => EventTarget.prototype.addEventListener.call(page, type, handler, true);
const closest = (element, selector) => Element.prototype.closest.call(element, selector);
const XLINK = "http://www.w3.org/1999/xlink";

// Our own page, in which the frame of the mail is the only element.
const paperOf = (frame) => frame.contentDocument?.querySelector("iframe");

function measure(frame) {
  const paper = paperOf(frame);
  const root = paper?.contentDocument && rootOf(paper.contentDocument);
  if (!root || !frame.clientWidth) return; // hidden, or no longer the mail
  // A page is never less high than its window; and one that wants to be as high as that would grow for ever.
  paper.style.height = "0";
  const height = root.scrollHeight + (root.scrollWidth > root.clientWidth ? SCROLLBAR : 0);
  paper.style.height = "";
  frame.style.height = `${Math.min(height, MOST)}px`;
}

function leads(place, href) {
  const [before, after] = place.dataset.leads.split("{address}");
  let address = null;
  try {
    address = new URL(href);
  } catch {} // relative to nothing: a mail has no address of its own
  const isWeb = address && ["http:", "https:"].includes(address.protocol);
  const text = isWeb ? address.href : href; // of a name in foreign letters, the form in which they cannot deceive
  const link = document.createElement(isWeb ? "a" : "span");
  link.textContent = text.length > 300 ? `${text.slice(0, 300)}…` : text;
  if (isWeb) Object.assign(link, { href: address.href, target: "_blank", rel: "noopener noreferrer" });
  place.replaceChildren(before, link, after ?? "");
}

function look(mail, chosen) {
  mail.dataset.look = chosen;
  for (const button of mail.querySelectorAll(".dm-look")) {
    button.setAttribute("aria-pressed", String(button.dataset.look === chosen));
  }
  measure(mail.querySelector("iframe"));
}

// `memory` is what a view remembers from one mail to the next.
function openMail(mail, memory) {
  const frame = mail.querySelector("iframe");
  const place = mail.querySelector(".dm-mail-link");
  const follow = (event) => {
    const link = closest(event.target, "a, area");
    if (!link) return;
    event.preventDefault();
    const href = link.getAttribute("href") ?? link.getAttributeNS(XLINK, "href");
    if (href) leads(place, href);
  };
  const arrive = () => {
    const page = paperOf(frame)?.contentDocument;
    if (!page) return;
    place.replaceChildren();
    listen(page, "click", follow);
    listen(page, "auxclick", follow);
    listen(page, "toggle", () => measure(frame)); // what folds
    measure(frame);
  };
  frame.addEventListener("load", arrive);
  // The width decides on the height. It changes with the window, and when what was hidden is shown.
  let width = 0;
  new ResizeObserver(() => {
    if (frame.clientWidth !== width) measure(frame);
    width = frame.clientWidth;
  }).observe(frame);
  for (const button of mail.querySelectorAll(".dm-look")) {
    button.addEventListener("click", () => {
      memory.look = button.dataset.look;
      look(mail, memory.look);
    });
  }
  mail.dataset.look = memory.look;
  look(mail, memory.look);
}

// Where a mail takes the place of another, the frame stays, with its height and the place to which somebody scrolled.
function changeMail(mail, fresh) {
  const [frame, page] = [mail.querySelector("iframe"), fresh.querySelector("iframe").getAttribute("srcdoc")];
  if (frame.getAttribute("srcdoc") !== page) frame.setAttribute("srcdoc", page);
  mail.querySelector(".dm-mail-text").textContent = fresh.querySelector(".dm-mail-text").textContent;
  mail.querySelector(":scope > .dm-facts")?.remove();
  mail.append(...fresh.querySelectorAll(":scope > .dm-facts"));
}

export { changeMail, openMail };
