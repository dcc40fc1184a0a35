/** What the page remembers of a conversation, so that nothing is lost with a connection. */

const FRAME_S = 0.032;
const N_BEFORE = Math.round(1 / FRAME_S); // frames kept from before anybody spoke
const N_MOST = Math.round(20 / FRAME_S);
const N_TIMES = Math.round(80 / FRAME_S); // frames whose times are known: the longest turn and some more
const RATE = 16000;

export class Memory {
  /** Whether the caller is in the middle of a turn. */
  isTurnOpen = false;
  #hadConnection = false;
  #isLost = false;
  #nTurns = 0; // that the server told of
  #nLost = 0; // frames since the connection was lost
  #frames = []; // the latest, as {samples, at, level}
  #times = []; // of the frames of this connection, as {end_s, at}
  #sent_s = 0;

  /** A new conversation begins. */
  restart() {
    this.isTurnOpen = this.#isLost = this.#hadConnection = false;
    this.#nTurns = this.#nLost = 0;
    this.#frames = [];
    this.#newSession();
  }

  keep(frame) {
    this.#frames.push(frame);
    if (this.#isLost) this.#nLost += 1;
    else this.#note(frame);
    const nMost = this.isTurnOpen || this.#isLost ? N_MOST : N_BEFORE;
    if (this.#frames.length > nMost) this.#frames.splice(0, this.#frames.length - nMost);
  }

  lost() {
    this.#isLost = true;
  }

  turnEnded() {
    this.#nTurns += 1;
    this.isTurnOpen = false;
  }

  /**
   * There is a connection. Tells whether it follows a lost one, whether the server had answered a turn of which the page
   * did not hear, and which frames to send again: those of the turn that was cut off, and those since.
   */
  welcome({ resumed, nTurns }) {
    const wasResumed = this.#hadConnection;
    this.#hadConnection = true;
    const wasAnswered = resumed && nTurns > this.#nTurns;
    const nAgain = wasAnswered ? this.#nLost : this.#frames.length;
    const frames = nAgain ? this.#frames.slice(-nAgain) : [];
    this.#nTurns = nTurns;
    this.#nLost = 0;
    this.#isLost = this.isTurnOpen = false;
    this.#newSession();
    frames.forEach((frame) => this.#note(frame));
    return { wasResumed, wasAnswered, frames };
  }

  /** When a position in the audio of this connection was captured, on the audio context's clock; null if unknown. */
  capturedAt(position_s) {
    const found = this.#times.find(({ end_s }) => end_s >= position_s);
    return found ? found.at - (found.end_s - position_s) : null;
  }

  #newSession() {
    this.#times = [];
    this.#sent_s = 0;
  }

  #note({ samples, at }) {
    this.#sent_s += samples.length / RATE;
    this.#times.push({ end_s: this.#sent_s, at });
    if (this.#times.length > N_TIMES) this.#times.shift();
  }
}
