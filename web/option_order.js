// Shows the options in an order of the ballot's own, before they are painted: the page is the same for everybody, so that caches
// can keep it. The order depends on the ballot's id alone. Whoever reloads the page or goes back to it finds the same one.
{
  const form = document.currentScript.closest("form");
  const fieldset = form.querySelector("fieldset");
  if (form.dataset.kind === "ranked") {
    // Each rank has a list of all options, after its first line, which chooses none.
    for (const list of fieldset.querySelectorAll("select")) {
      const chosen = list.value;
      list.append(...shuffled([...list.options].slice(1)));
      list.value = chosen;
    }
  } else {
    fieldset.append(...shuffled([...fieldset.querySelectorAll("label")]));
  }

  function shuffled(options) {
    const next = numbersFrom(form.elements.namedItem("ballot_id").value);
    for (let at = options.length - 1; at > 0; at--) {
      const other = Math.floor(next() * (at + 1));
      [options[at], options[other]] = [options[other], options[at]];
    }
    return options;
  }

  // Numbers from 0 to below 1 (mulberry32), from a text (FNV-1a).
  function numbersFrom(text) {
    let state = 0x811c9dc5;
    for (const letter of text) state = Math.imul(state ^ letter.charCodeAt(0), 0x01000193);
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }
}
