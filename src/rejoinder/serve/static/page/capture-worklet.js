/** The microphone, as frames of 16-bit samples at 16 kHz; nothing of it goes on to the loudspeaker. */

import { Resampler } from "./resampler.js";

const RATE = 16000;
const FRAME = 512; // 32 ms, what the voice activity detector takes at a time

class Capture extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, RATE);
  #frame = new Int16Array(FRAME);
  #filled = 0;
  #square = 0;

  process([channels]) {
    if (!channels.length) return true; // the microphone is gone, or not there yet
    const mono = new Float32Array(channels[0].length);
    for (const channel of channels) channel.forEach((sample, n) => (mono[n] += sample / channels.length));
    for (const sample of this.#resampler.push(mono)) {
      this.#frame[this.#filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      this.#square += sample * sample;
      if (this.#filled === FRAME) this.#send();
    }
    return true;
  }

  #send() {
    const level = Math.sqrt(this.#square / FRAME);
    this.port.postMessage({ samples: this.#frame, at: currentTime, level }, [this.#frame.buffer]);
    this.#frame = new Int16Array(FRAME);
    this.#filled = this.#square = 0;
  }
}

registerProcessor("capture", Capture);
