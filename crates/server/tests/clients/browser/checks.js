// What is wrong with the page on the screen, for eyes, fingers and screen readers; nothing, if the list is empty.

const faults = [];
const seen = (element) => element.getClientRects().length > 0 && !element.closest(".unseen");
const name = (element) => `<${element.localName} class="${element.className.baseVal ?? element.className}">`;

if (document.documentElement.scrollWidth > document.documentElement.clientWidth) {
  faults.push(`scrolls sideways: ${document.documentElement.scrollWidth} px wide`);
}
for (const element of document.querySelectorAll("main *")) {
  const { left, right } = element.getBoundingClientRect();
  if (seen(element) && (left < 0 || right > innerWidth)) faults.push(`${name(element)} sticks out`);
}

const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
if (new Set(ids).size !== ids.length) faults.push("an id is there twice");
if (document.querySelectorAll("h1").length !== 1) faults.push("there is not one h1");
if (!document.documentElement.lang || !document.title) faults.push("the page has no language or no title");
for (const input of document.querySelectorAll("input:not([type=hidden])")) {
  if (!input.labels[0]?.innerText.trim()) faults.push(`${name(input)} has no label`);
  if (input.type !== "text" && !input.closest("fieldset")?.querySelector("legend")) faults.push(`${name(input)} has no legend`);
}
for (const svg of document.querySelectorAll("svg")) {
  if (svg.getAttribute("aria-hidden") !== "true") faults.push(`${name(svg)} is read out`);
}

for (const target of document.querySelectorAll("label, button, a")) {
  const { height, width } = target.getBoundingClientRect();
  if (seen(target) && (height < 44 || width < 44)) faults.push(`${name(target)} is ${width} by ${height} px`);
}

const channels = (color) => color.match(/[\d.]+/g).map(Number);
const luminance = (color) => {
  const [r, g, b] = channels(color).slice(0, 3)
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    const [, , , alpha = 1] = channels(color);
    if (alpha === 1) return color;
  }
  return getComputedStyle(document.body).backgroundColor;
};
const contrast = (one, other) => {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
};
for (const element of document.querySelectorAll("main *")) {
  const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!text || !seen(element)) continue;
  const ratio = contrast(getComputedStyle(element).color, ground(element));
  if (ratio < 4.5) faults.push(`${name(element)} has a contrast of ${ratio.toFixed(2)}`);
}
for (const input of document.querySelectorAll("input:not([type=hidden])")) {
  const ratio = contrast(getComputedStyle(input).borderTopColor, ground(input.parentElement));
  if (ratio < 3) faults.push(`${name(input)}'s border has a contrast of ${ratio.toFixed(2)}`);
}

return faults;
