/** Makes DOM elements: what is said on a call is text here, never markup. */
export function element(name, properties = {}, children = []) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...[children].flat().filter((child) => child !== null && child !== undefined));
  return made;
}
