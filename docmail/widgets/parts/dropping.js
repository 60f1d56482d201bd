// Takes files that are dropped onto a form. The browser would otherwise leave the notebook and show the file.

const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

// Returns the files among what is dropped, and the names of the folders, of which a browser gives no content.
function sorted(transfer) {
  const [files, folders] = [[], []];
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  [...transfer.files].forEach((file, at) => {
    if (items[at]?.webkitGetAsEntry?.()?.isDirectory) folders.push(file.name);
    else files.push(file);
  });
  return [files, folders];
}

// `take(files, folders)` gets what is dropped onto `root`, over which `words` say that it can be.
export function takeDrops(root, words, take) {
  const over = (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = "copy";
    root.dataset.drop = words;
    root.classList.add("dm-dropping");
  };
  const away = (event) => {
    if (!event.relatedTarget || !root.contains(event.relatedTarget)) root.classList.remove("dm-dropping");
  };
  const drop = (event) => {
    root.classList.remove("dm-dropping");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    take(...sorted(event.dataTransfer));
  };
  const listeners = { dragenter: over, dragover: over, dragleave: away, drop };
  for (const [type, listener] of Object.entries(listeners)) root.addEventListener(type, listener);
  return () => {
    for (const [type, listener] of Object.entries(listeners)) root.removeEventListener(type, listener);
  };
}
