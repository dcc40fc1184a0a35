/** Microphone and loudspeaker in one audio context: one clock, on which latency is measured. */

const HERE = "/static/page/";

/** Why there is no microphone: "insecure", "refused", "absent" or "busy". */
export class NoMicrophone extends Error {
  constructor(why) {
    super(why);
    this.why = why;
  }
}

export class Sound {
  /** @type {(frame: {samples: Int16Array, at: number, level: number}) => void} */
  onframe = () => {};
  /** Told of {began, at}, {finished, heard_s}, {flushed, heard_s} with a reply's number, and of {level}. */
  onplayback = () => {};
  /** The microphone was unplugged. */
  onlost = () => {};
  #context = null;
  #player = null;
  #capture = null;
  #stream = null;
  #source = null;

  get now() {
    return this.#context?.currentTime ?? 0;
  }

  get canChooseSpeaker() {
    return "AudioContext" in window && "setSinkId" in AudioContext.prototype;
  }

  /** Has to be called while a key or a button is pressed, or browsers keep the context silent. */
  async open() {
    if (!this.#context) {
      const context = new AudioContext({ latencyHint: "interactive" });
      this.#context = context;
      if (!context.audioWorklet) return; // pages over plain HTTP have none: replies are read there
      await Promise.all(["capture", "playback"].map((name) => context.audioWorklet.addModule(`${HERE}${name}-worklet.js`)));
      this.#player = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
      this.#player.port.onmessage = ({ data }) => this.onplayback(data);
      this.#player.connect(context.destination);
      this.#capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
      this.#capture.port.onmessage = ({ data }) => this.#stream && this.onframe(data);
    }
    await this.#context.resume();
  }

  /** Listen; throws `NoMicrophone`. */
  async listen(deviceId) {
    if (!window.isSecureContext || !navigator.mediaDevices) throw new NoMicrophone("insecure");
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
    if (deviceId) audio.deviceId = { exact: deviceId };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      if (error.name === "OverconstrainedError" && deviceId) return this.listen(""); // it was unplugged
      if (error.name === "NotAllowedError" || error.name === "SecurityError") throw new NoMicrophone("refused");
      throw new NoMicrophone(error.name === "NotFoundError" ? "absent" : "busy");
    }
    this.deafen();
    this.#stream = stream;
    this.#source = this.#context.createMediaStreamSource(stream);
    this.#source.connect(this.#capture);
    stream.getAudioTracks()[0].onended = () => {
      this.deafen();
      this.onlost();
    };
  }

  /** Let go of the microphone: the browser's sign that it is on goes out. */
  deafen() {
    this.#stream?.getTracks().forEach((track) => {
      track.onended = null;
      track.stop();
    });
    this.#source?.disconnect();
    this.#stream = this.#source = null;
  }

  /** Play this after what is already waiting; `samples` is an Int16Array that must not be used any more. */
  play(reply, samples, rate) {
    this.#player?.port.postMessage({ reply, samples, rate }, [samples.buffer]);
  }

  /** No more of this reply comes. */
  end(reply) {
    if (this.#player) this.#player.port.postMessage({ reply, ended: true });
    else this.onplayback({ finished: reply });
  }

  /** Fall silent at once; what was heard of this reply is told. */
  flush(reply) {
    this.#player?.port.postMessage({ flush: reply });
  }

  async chooseSpeaker(deviceId) {
    if (this.#context && this.canChooseSpeaker) await this.#context.setSinkId(deviceId);
  }

  /** Microphones and loudspeakers; before the microphone was allowed, browsers do not tell their names. */
  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const named = all.filter((device) => device.label && device.deviceId !== "default");
    return {
      microphones: named.filter((device) => device.kind === "audioinput"),
      speakers: named.filter((device) => device.kind === "audiooutput"),
    };
  }
}
