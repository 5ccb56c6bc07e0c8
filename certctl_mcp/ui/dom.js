// How is an element made? From names and texts: there is no way in for markup, whoever wrote the text.

/** `what` is a tag and its classes, such as "span.badge". A string among `children` becomes a text. */
export function element(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** The element of this id, which the page is known to have. */
export function byId(id) {
  return document.getElementById(id);
}

/** Makes `parent` hold just these children, touching only what differs, so that focus stays where it is. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) {
    if (!wanted.has(child)) child.remove();
  }
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
}

/** 1,234 notifications, 1 notification. */
export function counted(number, singular, plural = `${singular}s`) {
  return `${grouped(number)} ${number === 1 ? singular : plural}`;
}

export function grouped(number) {
  return number.toLocaleString("en");
}

/** ExpirationWarning as words: Expiration warning. What is no such name stays as it is. */
export function spaced(name) {
  if (!/^[A-Z][a-z]+(?:[A-Z][a-z]+)+$/.test(name)) return name;
  const words = name.split(/(?=[A-Z])/);
  return [words[0], ...words.slice(1).map((word) => word.toLowerCase())].join(" ");
}
