/** Changes the sample rate of a stream, by windowed sinc: browsers do not do it between contexts alike. */

const N_CROSSINGS = 16; // of the sinc, on each side

export class Resampler {
  #up;
  #down;
  #taps; // one filter for each phase, Float32Array[phase] of nTaps
  #half;
  #past; // input samples that later output still needs
  #next = 0; // position of the next output in #past, in units of 1 / #up of an input sample

  constructor(fromRate, toRate) {
    const shared = greatestCommonDivisor(fromRate, toRate);
    this.#up = toRate / shared;
    this.#down = fromRate / shared;
    const cutoff = Math.min(1, toRate / fromRate) * 0.94;
    this.#half = Math.ceil(N_CROSSINGS / cutoff);
    this.#taps = Array.from({ length: this.#up }, (_, phase) => filter(phase / this.#up, cutoff, this.#half));
    this.#past = new Float32Array(this.#half); // silence came before
    this.#next = this.#half * this.#up;
  }

  /** What can be put out once `input`, a Float32Array, has come. */
  push(input) {
    const samples = new Float32Array(this.#past.length + input.length);
    samples.set(this.#past);
    samples.set(input, this.#past.length);
    const end = (samples.length - this.#half) * this.#up; // later ones need input that is still to come
    const output = new Float32Array(Math.max(0, Math.ceil((end - this.#next) / this.#down)));
    for (let n = 0; n < output.length; n++) {
      const at = Math.floor(this.#next / this.#up);
      const taps = this.#taps[this.#next % this.#up];
      const first = at - this.#half + 1;
      let sum = 0;
      for (let k = 0; k < taps.length; k++) sum += taps[k] * samples[first + k];
      output[n] = sum;
      this.#next += this.#down;
    }
    const gone = Math.max(0, Math.floor(this.#next / this.#up) - this.#half + 1);
    this.#past = samples.slice(gone);
    this.#next -= gone * this.#up;
    return output;
  }

  /** The last output, for which the input is taken to go on in silence. */
  finish() {
    return this.push(new Float32Array(this.#half));
  }
}

/** The weights of 2 * half inputs around an output that lies `offset` of a sample behind one of them. */
function filter(offset, cutoff, half) {
  const taps = new Float32Array(2 * half);
  let sum = 0;
  for (let k = 0; k < taps.length; k++) {
    const x = k - half + 1 - offset;
    const edge = x / half;
    const window = Math.abs(edge) < 1 ? 0.42 + 0.5 * Math.cos(Math.PI * edge) + 0.08 * Math.cos(2 * Math.PI * edge) : 0;
    taps[k] = window * (x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x));
    sum += taps[k];
  }
  return taps.map((tap) => tap / sum);
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
