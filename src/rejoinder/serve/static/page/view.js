/** Everything that is shown but the cards. */

import { element } from "./element.js";
import { LIVE, PROBLEMS, SPOKEN, STATES } from "./states.js";

const LINKS = {
  idle: "Not connected", connecting: "Connecting…", open: "Connected", reconnecting: "Reconnecting…",
  down: "No answer", full: "Server full", locked: "Key needed", forbidden: "Not allowed", broken: "Ended", elsewhere: "Elsewhere",
};

const $ = (id) => document.getElementById(id);
let shown = "idle";

/** Show a state of `STATES`, and what can be pressed in it. */
export function showState(state, { isOpen, canEnd, canMute, canHush }) {
  $("mute").disabled = !canMute;
  $("hush").disabled = !canHush;
  $("end").disabled = !canEnd;
  document.body.classList.toggle("live", LIVE.has(state) || isOpen);
  if (state === shown) return;
  shown = state;
  const [title, hint, label] = STATES[state];
  const isProblem = PROBLEMS.has(state);
  document.body.dataset.state = state;
  document.body.classList.toggle("problem", isProblem);
  $("state").textContent = title;
  $("hint").textContent = hint;
  $("talk-label").textContent = label;
  const ends = label.startsWith("End") || label === "Cancel";
  $("talk-icon").setAttribute("href", ends ? "#icon-end" : isProblem && state !== "locked" ? "#icon-retry" : "#icon-mic");
  if (SPOKEN.has(state)) announce(`${title}. ${hint}`);
}

/** Show a state of `Link`. */
export function showLink(state) {
  document.body.dataset.link = state;
  $("link-text").textContent = LINKS[state];
}

/** Tell whoever uses a screen reader. */
export function announce(text) {
  $("announce").textContent = text;
}

/** A card was added or grew. */
export function changed() {
  document.body.classList.add("begun");
  $("empty").hidden = true;
  requestAnimationFrame(scrollToEnd);
}

/** A line between cards: the connection was lost, another conversation began. */
export function remark(text) {
  $("turns").append(element("li", { className: "remark" }, text));
  announce(text);
  changed();
}

/** The words of a turn that goes on; without any, none. */
export function showWords({ text, n_stable: nStable } = { text: "", n_stable: 0 }) {
  const words = text.split(/\s+/).filter(Boolean);
  const stable = element("span", { className: "stable" }, words.slice(0, nStable).join(" "));
  const unstable = element("span", { className: "unstable" }, words.slice(nStable).join(" "));
  $("words").replaceChildren(...(words.length ? [stable, " ", unstable] : []));
}

/** How loud the microphone is, as a root mean square. */
export function showLevel(level) {
  $("level").value = loudness(level);
  document.body.style.setProperty("--level", loudness(level).toFixed(3));
}

/** How loud the reply is, as a root mean square. */
export function showVoice(level) {
  document.body.style.setProperty("--voice", loudness(level).toFixed(3));
}

function loudness(level) {
  return Math.min(1, Math.sqrt(level) * 1.8);
}

/** Follow the conversation, unless somebody reads further up. */
function scrollToEnd() {
  const box = $("conversation");
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (box.scrollHeight - box.scrollTop - box.clientHeight < 400) {
    box.scrollTo({ top: box.scrollHeight, behavior: isCalm ? "auto" : "smooth" });
  }
}
