/** Replies, played one after the other; tells when one begins and ends, and falls silent at once. */

import { Resampler } from "./resampler.js";

const FADE = 128; // samples, so that falling silent does not click
const LEVEL_EVERY = 1600; // samples

class Playback extends AudioWorkletProcessor {
  #waiting = []; // {reply, samples} at the context's rate, or {reply, ended: true}
  #offset = 0; // in the first of them
  #reply = null; // that is being heard
  #heard = 0; // samples of it
  #last = 0;
  #fade = 0;
  #resampler = null;
  #source = null; // reply and rate that the resampler is for
  #square = 0;
  #measured = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.flush !== undefined) this.#flush(data.flush);
      else if (data.ended) this.#end(data.reply);
      else this.#take(data);
    };
  }

  #take({ reply, samples, rate }) {
    if (this.#source?.reply !== reply || this.#source.rate !== rate) {
      this.#source = { reply, rate };
      this.#resampler = rate === sampleRate ? null : new Resampler(rate, sampleRate);
    }
    const floats = Float32Array.from(samples, (sample) => sample / 32768);
    this.#waiting.push({ reply, samples: this.#resampler ? this.#resampler.push(floats) : floats });
  }

  #end(reply) {
    if (this.#source?.reply === reply && this.#resampler) {
      this.#waiting.push({ reply, samples: this.#resampler.finish() });
    }
    this.#source = null;
    this.#waiting.push({ reply, ended: true });
  }

  #flush(reply) {
    this.port.postMessage({ flushed: reply, heard_s: this.#reply === reply ? this.#heard / sampleRate : 0 });
    if (this.#reply !== null) this.#fade = FADE;
    this.#waiting = [];
    this.#source = this.#reply = null;
    this.#offset = 0;
  }

  process(_inputs, [[output]]) {
    let n = 0;
    while (n < output.length && this.#waiting.length) {
      const { reply, samples, ended } = this.#waiting[0];
      if (ended) {
        this.port.postMessage({ finished: reply, heard_s: this.#reply === reply ? this.#heard / sampleRate : 0 });
        this.#reply = null;
      } else {
        if (this.#reply !== reply) this.#begin(reply, n);
        const taken = samples.subarray(this.#offset, this.#offset + output.length - n);
        output.set(taken, n);
        n += taken.length;
        this.#offset += taken.length;
        this.#heard += taken.length;
        if (this.#offset < samples.length) break;
      }
      this.#waiting.shift();
      this.#offset = 0;
    }
    for (; n < output.length; n++) {
      output[n] = this.#fade > 0 ? (this.#last * this.#fade--) / FADE : 0;
    }
    if (this.#fade === 0) this.#last = output[output.length - 1];
    this.#measure(output);
    return true;
  }

  #begin(reply, n) {
    this.#reply = reply;
    this.#heard = this.#fade = 0;
    this.port.postMessage({ began: reply, at: currentTime + n / sampleRate });
  }

  #measure(output) {
    for (const sample of output) this.#square += sample * sample;
    this.#measured += output.length;
    if (this.#measured < LEVEL_EVERY) return;
    this.port.postMessage({ level: Math.sqrt(this.#square / this.#measured) });
    this.#square = this.#measured = 0;
  }
}

registerProcessor("playback", Playback);
