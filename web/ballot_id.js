// Gives the ballot its id before it can be sent, so that it counts once however often it is. Going back to the page or
// reloading it gives the same id again: the browser keeps it with the page's place in its history, not in the address. There
// may be another poll at the address by now, or another voter at a shared device: ten minutes after a vote it is forgotten.
{
  const field = document.currentScript.previousElementSibling;
  const poll = field.form.dataset.ballots;
  const state = history.state || {};
  const kept = state.poll === poll && !(state.votedAt + 600_000 < Date.now()) ? state.ballotId : null;
  if (!field.value) field.value = kept || newBallotId();
  if (field.value !== kept) history.replaceState({ poll, ballotId: field.value }, "");

  // A UUID of version 7 (RFC 9562): its time comes first, so the server's index grows at its end.
  function newBallotId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    let ms = Date.now();
    for (let at = 5; at >= 0; at--) {
      bytes[at] = ms % 256;
      ms = Math.floor(ms / 256);
    }
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
  }
}
