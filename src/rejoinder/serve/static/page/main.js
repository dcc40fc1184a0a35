/** The page: what is pressed, said and heard, put together. */

import { element } from "./element.js";
import { Link } from "./link.js";
import { Memory } from "./memory.js";
import { setUpSettings } from "./settings.js";
import { NoMicrophone, Sound } from "./sound.js";
import { STATES } from "./states.js";
import { Card } from "./turns.js";
import * as view from "./view.js";

const N_MUTED = 94; // frames of silence after muting, so that a turn that is going on can end: 3 s
const ENDS = {
  idle: "Nobody spoke for a while, so the call ended.",
  hangup: "The assistant ended the call.",
  transfer: "The call goes on with a person.",
};

const $ = (id) => document.getElementById(id);
const link = new Link();
const sound = new Sound();
const memory = new Memory();

let name = "Assistant";
let microphone = "off"; // "asking", "on", or why there is none
let muted = false;
let nMuted = 0;
let ended = false;
let hearing = false;
let thinking = false;
let playing = null; // the reply that is being heard
let pause_s = 0;
let pending = null; // a typed turn that was not taken yet
let card = null; // of the latest turn
let openCard = null; // the same, until it has its reply
let replies = new Map(); // by number: {card, rate}
let dropped = 0; // replies up to this number are not to be heard any more

// What is shown.

function stateNow() {
  if (microphone === "asking") return "asking";
  if (link.state !== "open" && link.state !== "idle") return link.state;
  if (link.state === "idle") {
    if (microphone in STATES) return microphone;
    return ended ? "ended" : "idle";
  }
  if (hearing) return "hearing";
  if (playing !== null) return "speaking";
  if (thinking) return "thinking";
  if (microphone in STATES) return microphone;
  return microphone === "on" ? (muted ? "muted" : "listening") : "typing";
}

function show() {
  view.showState(stateNow(), {
    isOpen: link.isOpen,
    canEnd: link.isOpen || ["connecting", "reconnecting", "full", "down"].includes(link.state),
    canMute: microphone === "on",
    canHush: playing !== null,
  });
}

// Beginning and ending.

async function useMicrophone() {
  microphone = "asking";
  show();
  try {
    await sound.listen(localStorage.getItem("microphone") ?? "");
    microphone = "on";
  } catch (error) {
    if (!(error instanceof NoMicrophone)) throw error;
    microphone = error.why;
  }
  show();
  return microphone === "on";
}

async function openSound() {
  await sound.open();
  const speaker = localStorage.getItem("speaker");
  if (speaker) await sound.chooseSpeaker(speaker).catch(() => localStorage.removeItem("speaker"));
}

function connect({ greet }) {
  ended = false;
  if ($("turns").hasChildNodes()) view.remark("A new conversation");
  memory.restart();
  replies = new Map();
  dropped = 0;
  card = openCard = playing = null;
  hearing = thinking = false;
  link.open({ bargeIn: $("barge-in").checked, greet });
}

async function start() {
  await openSound();
  if (!(await useMicrophone())) return;
  setMuted(false);
  if (!link.isOpen) connect({ greet: true });
}

function end() {
  link.close();
  sound.flush(dropped);
  finish();
}

/** The conversation is over; what is still being said may end. */
function finish() {
  sound.deafen();
  microphone = "off";
  ended = true;
  hearing = thinking = false;
  pending = null;
  view.showWords();
  view.showLevel(0);
  show();
}

function pressed() {
  const state = stateNow();
  if (state === "asking") return;
  if (state === "locked") return askForKey();
  if (microphone in STATES || state === "typing") return start();
  if (link.state === "idle" || ["forbidden", "broken", "elsewhere"].includes(link.state)) return start();
  end();
}

function setMuted(value) {
  muted = value;
  nMuted = 0;
  $("mute").setAttribute("aria-pressed", String(muted));
  $("mute-icon").setAttribute("href", muted ? "#icon-mic-off" : "#icon-mic");
  if (muted) view.showLevel(0);
  show();
}

function hush() {
  if (playing === null) return;
  link.send({ type: "stop" });
  dropped = playing;
  sound.flush(playing);
}

async function type(text) {
  await openSound();
  pending = { text, at: sound.now };
  if (link.isOpen) sendPending();
  else if (link.state === "idle") {
    if (microphone in STATES) microphone = "off"; // whoever types knows that there is none
    connect({ greet: false });
  }
}

function sendPending() {
  pending.at = sound.now;
  link.send({ type: "text", text: pending.text });
  thinking = true;
  show();
}

function askForKey() {
  if (link.key) $("key-problem").textContent = "This key is not known here. Is it whole?";
  if (!$("ask-key").open) $("ask-key").showModal();
}

// What the server tells.

const told = {
  welcome({ resumed, n_turns: nTurns, last_reply: lastReply, pause_s: shortest }) {
    pause_s = shortest;
    replies = new Map();
    dropped = 0;
    openCard = null;
    const { wasResumed, wasAnswered, frames } = memory.welcome({ resumed, nTurns });
    if (wasResumed && !resumed) view.remark("The server has forgotten the conversation; this is a new one.");
    if (wasResumed && resumed) view.remark("Reconnected. The conversation goes on.");
    if (wasAnswered) {
      pending = null;
      if (card?.replyText !== lastReply) new Card($("turns"), name).setReply(lastReply);
    }
    hearing = thinking = false;
    for (const frame of frames) link.sendAudio(frame.samples);
    if (pending) sendPending();
  },
  speech_started() {
    hearing = memory.isTurnOpen = true;
  },
  partial(message) {
    view.showWords(message);
  },
  turn_ended(message) {
    memory.turnEnded();
    hearing = false;
    thinking = true;
    view.showWords();
    const isTyped = pending !== null && message.text === pending.text.trim();
    const turn = { ...message, pause_s, isTyped, typedAt: pending?.at };
    if (isTyped) pending = null;
    if (!message.continues || card === null) card = new Card($("turns"), name);
    card.setTurn(turn);
    openCard = card;
    view.changed();
  },
  understood(message) {
    openCard?.setMeaning(message);
  },
  reply_started({ reply, text }) {
    const its = openCard ?? new Card($("turns"), name);
    its.setReply(text);
    replies.set(reply, { card: its, rate: 0 });
    view.announce(openCard ? `You said: ${openCard.turn.text}. ${name}: ${text}` : `${name}: ${text}`);
    openCard = null;
    view.changed();
  },
  reply_continued({ reply, text }) {
    replies.get(reply)?.card.addReply(text);
    view.changed();
  },
  reply_audio({ reply, sample_rate: rate, decision_s }) {
    const its = replies.get(reply);
    if (!its) return;
    its.rate = rate;
    if (decision_s !== null) its.card.time({ decision_s });
  },
  reply_done({ reply, interrupted }) {
    if (interrupted) {
      dropped = reply;
      sound.flush(reply);
    } else sound.end(reply);
  },
  turn_dropped() {
    hearing = memory.isTurnOpen = false;
    view.showWords();
  },
  backchannel({ text }) {
    card?.note(`You: “${text}”`);
  },
  action_run(message) {
    openCard?.action(message);
  },
  stage_failed({ stage, message }) {
    view.remark(`A stage failed, and the call goes on: ${stage}, ${message}`);
  },
  session_ended({ reason }) {
    if (reason in ENDS) view.remark(ENDS[reason]);
  },
};

link.onmessage = (message) => {
  told[message.type]?.(message);
  show();
};
link.onaudio = (reply, samples) => {
  const its = replies.get(reply);
  if (its && reply > dropped) sound.play(reply, samples, its.rate);
};
link.onstate = (state) => {
  view.showLink(state);
  if (state === "reconnecting" || state === "full" || state === "down") memory.lost();
  if (["idle", "locked", "forbidden", "broken", "elsewhere"].includes(state) && microphone === "on") finish();
  else if (state === "idle") ended = true;
  if (state === "locked") askForKey();
  show();
};

// What is heard, on both sides.

sound.onframe = (frame) => {
  if (muted) {
    if (nMuted++ >= N_MUTED) return;
    frame.samples.fill(0);
    frame.level = 0;
  }
  view.showLevel(frame.level);
  memory.keep(frame);
  if (link.isOpen) link.sendAudio(frame.samples);
};
sound.onlost = () => {
  microphone = "lost";
  view.showLevel(0);
  show();
};
sound.onplayback = ({ began, at, finished, flushed, heard_s, level }) => {
  if (level !== undefined) {
    view.showVoice(level);
    return;
  }
  if (began !== undefined) {
    playing = began;
    thinking = false;
    const its = replies.get(began)?.card;
    if (its?.turn.at_s !== undefined) {
      const { isTyped, typedAt, speech_end_s: end_s } = its.turn;
      const from = isTyped ? typedAt : memory.capturedAt(end_s);
      if (from !== null) its.time({ measured_s: at - from });
      view.changed();
    }
  }
  if (finished !== undefined) {
    thinking = false;
    if (playing === finished) playing = null;
    if (link.isOpen && replies.has(finished)) link.send({ type: "played", reply: finished });
  }
  if (flushed !== undefined) {
    playing = null;
    if (heard_s > 0) replies.get(flushed)?.card.interrupted(heard_s);
  }
  show();
};

// What is pressed.

$("talk").addEventListener("click", pressed);
$("mute").addEventListener("click", () => setMuted(!muted));
$("hush").addEventListener("click", hush);
$("end").addEventListener("click", end);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) hush();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && link.isOpen) sound.open(); // phones suspend what is not seen
});
$("typing").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  type(text);
});

setUpSettings(sound, { onMicrophone: () => microphone === "on" && useMicrophone() });
$("key-form").addEventListener("submit", async () => {
  link.useKey($("key").value);
  $("key").value = "";
  link.close();
  ended = false;
  await introduce();
});
$("key-cancel").addEventListener("click", () => $("ask-key").close());

/** Show whom one talks to. */
async function introduce() {
  const about = await link.about().catch(() => null);
  if (about === null) return;
  name = about.name;
  document.title = name;
  document.documentElement.lang = about.language;
  $("name").textContent = name;
  $("description").textContent = about.description;
  $("try").hidden = about.examples.length === 0;
  $("examples").replaceChildren(
    ...about.examples.map((text) => {
      const button = element("button", { type: "button", className: "example" }, text);
      button.addEventListener("click", () => type(text));
      return element("li", {}, button);
    }),
  );
}

introduce();
