// The browser as the agent's phone: SIP over WebSocket (RFC 7118) to Asterisk by JsSIP, sound by WebRTC. It registers with
// a password that this page is given for some minutes, answers whatever Asterisk sends it (nobody else can reach it), and
// comes back by itself after a lost network. What it shows follows from the facts below.
"use strict";
(() => {
  const root = document.getElementById("phone");
  if (!root) return;
  const at = (id) => document.getElementById(id);
  const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";
  const live = at("desk-live");
  const form = at("desk-sign-in");
  const sound = at("phone-sound");
  const REGISTER_S = 60;
  const RECOVERY_S = { min: 1, max: 4 };
  const LOOK_MS = 2_000;
  // A socket that has said nothing for so long is asked, and then given up.
  const QUIET_MS = 8_000;
  const DEAD_MS = 16_000;
  // Addresses of ours that are found later than this after the first one are not waited for.
  const GATHER_MS = 400;
  const ANSWER_MS = 20_000;
  const RETRY_MS = 5_000;
  const AGAIN_MS = 3_000;
  const MOST_AGAIN = 5;
  const POOR = 0.05;

  // ---- what is so, and what follows from it
  const is = { on: false, elsewhere: false, microphone: "", wire: false, registered: false, was: false, problem: "" };
  let session = null;
  const stateOf = () => {
    if (!is.on) return "off";
    if (is.elsewhere) return "elsewhere";
    if (is.microphone !== "live") return is.microphone || "asking";
    if (is.problem) return "failed";
    if (!is.wire) return is.was ? "lost" : "registering";
    if (session) return "connected";
    return is.registered ? "ready" : "registering";
  };
  const words = (state) => root.dataset[state.replace(/_(.)/g, (_, letter) => letter.toUpperCase())];
  const show = () => {
    const state = stateOf();
    root.hidden = !is.on;
    if (root.dataset.state !== state) {
      root.dataset.state = state;
      at("phone-state").textContent = words(state);
    }
    at("phone-problem").textContent = is.problem;
    at("phone-problem").hidden = state !== "failed" || !is.problem;
    at("phone-mute").hidden = at("phone-reload").hidden = !session;
    at("phone-again").hidden = !["refused", "no_microphone", "failed"].includes(state);
    if (!session) at("phone-line").hidden = true;
    if (state === "ready") ready();
  };

  // ---- what is kept in this browser
  const kept = (key, value) => {
    try {
      if (value === undefined) return localStorage.getItem(`phone:${key}`) ?? "";
      localStorage.setItem(`phone:${key}`, value);
    } catch {
      // No storage: chosen again next time.
    }
    return "";
  };

  // ---- the server
  const post = async (url, body = {}) => {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "X-CSRF-Token": csrf, "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(body).toString(),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    // A talk goes on though the visit to the console is over.
    if (answer.status === 401 && !session) location.assign("/console/login");
    return answer;
  };
  let access = null;
  let renewAt = 0;
  const admit = async (anew) => {
    // What they are about to work for: the phone goes where those are who work for the same.
    const wishes = new FormData(form).getAll("campaign").map((name) => ["campaign", name]);
    const answer = await post("/console/desk/phone", anew ? [["anew", "on"], ...wishes] : wishes);
    if (!answer.ok) throw new Error(await answer.text());
    access = await answer.json();
    renewAt = performance.now() + 600 * access.lasts_s;
    at("phone-server").value = access.server;
    ua?.set("password", access.password);
    // The names and passwords for TURN that a connection began with are over long before it is: a way through another
    // network, later, needs new ones.
    if (session?.isEstablished()) session.connection.setConfiguration(ways());
  };
  const ways = () => ({ iceServers: access.ice, iceTransportPolicy: access.relay_only ? "relay" : "all" });

  // ---- the wire: a socket that is watched, since one whose network is gone may look open for minutes
  class Wire {
    constructor(url) {
      const { protocol, host } = new URL(url);
      this.url = url;
      this.via_transport = protocol === "wss:" ? "WSS" : "WS";
      this.sip_uri = `sip:${host};transport=ws`;
      this.socket = null;
      this.heard = 0;
    }

    connect() {
      if (this.socket) return;
      const socket = new WebSocket(this.url, "sip");
      socket.binaryType = "arraybuffer";
      this.socket = socket;
      this.heard = performance.now();
      socket.onopen = () => this.socket === socket && this.onconnect();
      socket.onmessage = ({ data }) => {
        this.heard = performance.now();
        if (this.socket === socket) this.ondata(data);
      };
      socket.onclose = ({ code, reason }) => this.socket === socket && this.drop(code, reason);
    }

    disconnect() {
      const socket = this.socket;
      this.socket = null;
      socket?.close();
    }

    // Given up by us, or closed by the other side: the one above connects again.
    drop(code = 0, reason = "") {
      this.disconnect();
      this.ondisconnect?.(true, code, reason);
    }

    isConnected() {
      return this.socket?.readyState === WebSocket.OPEN;
    }

    isConnecting() {
      return this.socket?.readyState === WebSocket.CONNECTING;
    }

    send(message) {
      if (!this.isConnected()) return false;
      this.socket.send(message);
      return true;
    }
  }

  // ---- the microphone
  let microphone = null;
  const listen = async (device) => {
    // Without "exact": a headset that was pulled out is replaced by what there is.
    const wanted = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { ...wanted, deviceId: device || undefined } });
    const [track] = stream.getAudioTracks();
    track.enabled = at("phone-mute").getAttribute("aria-pressed") !== "true";
    track.addEventListener("ended", () => {
      if (microphone === stream) ask("");
    });
    const sender = session?.connection?.getSenders().find((one) => one.track?.kind === "audio");
    await sender?.replaceTrack(track);
    microphone?.getTracks().forEach((old) => old.stop());
    microphone = stream;
    measure(stream);
    await devices();
  };
  const ask = async (device) => {
    is.microphone = "asking";
    show();
    try {
      if (!navigator.mediaDevices) throw new DOMException("no secure context", "NotAllowedError");
      await listen(device);
      is.microphone = "live";
    } catch (error) {
      is.microphone = error.name === "NotFoundError" ? "no_microphone" : "refused";
    }
    show();
    return is.microphone === "live";
  };
  const devices = async () => {
    const all = await navigator.mediaDevices.enumerateDevices();
    for (const [id, kind] of [["phone-microphone", "audioinput"], ["phone-speaker", "audiooutput"]]) {
      const place = at(id);
      const before = place.value || kept(id);
      place.replaceChildren(
        ...all.filter((one) => one.kind === kind).map((one, index) => {
          const option = document.createElement("option");
          option.value = one.deviceId;
          option.textContent = one.label || `${index + 1}`;
          option.selected = one.deviceId === before;
          return option;
        }),
      );
      place.disabled = !place.options.length || (kind === "audiooutput" && !sound.setSinkId);
    }
  };

  // ---- levels and tones
  let audio = null;
  const context = () => {
    audio ??= new AudioContext();
    if (audio.state === "suspended") audio.resume();
    return audio;
  };
  let meter = null;
  const measure = (stream) => {
    meter?.source.disconnect();
    const analyser = new AnalyserNode(context(), { fftSize: 1024 });
    const source = new MediaStreamAudioSourceNode(context(), { mediaStream: stream });
    source.connect(analyser);
    meter = { source, analyser, samples: new Float32Array(analyser.fftSize) };
  };
  const level = () => {
    if (!at("phone-headset").open || !meter || !is.on) return;
    meter.analyser.getFloatTimeDomainData(meter.samples);
    const power = meter.samples.reduce((sum, sample) => sum + sample * sample, 0) / meter.samples.length;
    // From -60 dB to full scale.
    at("phone-level").value = power > 0 ? Math.max(0, 1 + Math.log10(power) / 6) : 0;
    requestAnimationFrame(level);
  };
  const tone = () => {
    const loud = Number(at("phone-tone").value) / 100;
    if (!loud) return;
    const { destination, currentTime } = context();
    const beep = new OscillatorNode(audio, { frequency: 660 });
    const gain = new GainNode(audio, { gain: 0 });
    gain.gain.setTargetAtTime(loud * 0.5, currentTime, 0.01);
    gain.gain.setTargetAtTime(0, currentTime + 0.25, 0.02);
    beep.connect(gain).connect(destination);
    beep.start();
    beep.stop(currentTime + 0.5);
  };
  const speak = async () => {
    const device = at("phone-speaker").value;
    try {
      await sound.setSinkId?.(device);
      await audio?.setSinkId?.(device);
    } catch {
      // A device that is gone: the browser goes on with its own choice.
    }
  };

  // ---- the phone
  let ua = null;
  let wire = null;
  let refused = 0;
  const register = () => {
    wire = new Wire(access.url);
    ua = new JsSIP.UA({
      sockets: [wire],
      uri: `sip:${access.phone}@${access.realm}`,
      password: access.password,
      register_expires: REGISTER_S,
      session_timers: false,
      connection_recovery_min_interval: RECOVERY_S.min,
      connection_recovery_max_interval: RECOVERY_S.max,
      user_agent: "Cadencia",
    });
    ua.on("connected", () => {
      is.wire = true;
      show();
    });
    ua.on("disconnected", () => {
      is.wire = is.registered = false;
      show();
    });
    ua.on("registered", () => {
      const back = is.was && !is.registered;
      is.registered = is.was = true;
      is.problem = "";
      refused = 0;
      show();
      if (back) resume();
    });
    ua.on("unregistered", () => {
      is.registered = false;
      show();
    });
    ua.on("registrationFailed", ({ response, cause }) => turnedAway(response?.status_code, cause));
    ua.on("newRTCSession", ({ originator, session: came }) => originator === "remote" && answer(came));
    ua.start();
  };
  const turnedAway = (status, cause) => {
    is.registered = false;
    if (!is.wire || !is.on) return show();
    // The first time the password is too old: that happens to a computer that slept.
    if (++refused > 1) is.problem = status ? `${status} ${cause}` : cause;
    show();
    const mine = ua;
    setTimeout(async () => {
      if (ua !== mine || !is.on || !is.wire || is.registered) return;
      try {
        await admit([401, 403].includes(status));
      } catch {
        // With the password that there is, then.
      }
      if (ua && ua === mine) ua.register();
    }, refused === 1 ? 0 : RETRY_MS);
  };

  const answer = (came) => {
    anew = false;
    // Asterisk calls anew where it has no call with us any more, whatever we believe.
    const old = session;
    session = came;
    if (old) old.terminate();
    let gathered = null;
    came.on("icecandidate", ({ ready: enough }) => {
      gathered ??= setTimeout(() => {
        gathered = null;
        enough();
      }, GATHER_MS);
    });
    const over = () => {
      if (session !== came) return;
      session = null;
      sound.srcObject = null;
      show();
    };
    came.on("ended", over);
    came.on("failed", over);
    came.on("accepted", show);
    came.answer({ mediaStream: microphone, mediaConstraints: { audio: true, video: false }, pcConfig: ways() });
    // Another network, though the socket has survived.
    came.connection.addEventListener("iceconnectionstatechange", () => {
      if (came === session && came.connection.iceConnectionState === "failed" && is.registered) resume();
    });
    came.connection.addEventListener("track", ({ track, streams: [stream] }) => {
      sound.srcObject = stream ?? new MediaStream([track]);
      sound.play().catch(() => {});
    });
    counted = null;
    show();
  };
  // Back after a loss: find new ways for the sound. Where Asterisk has given the call up meanwhile, it says so.
  const resume = () => {
    if (session?.isEstablished()) session.renegotiate({ rtcOfferConstraints: { iceRestart: true } });
  };

  // ---- the line
  let counted = null;
  const count = async () => {
    const pc = session?.connection;
    if (!pc) return;
    const now = { received: 0, lost: 0, sent: 0 };
    for (const report of (await pc.getStats()).values()) {
      if (report.type === "inbound-rtp") {
        now.received += report.packetsReceived;
        now.lost += Math.max(0, report.packetsLost);
      } else if (report.type === "outbound-rtp") now.sent += report.packetsSent;
    }
    if (pc !== session?.connection) return;
    root.dataset.received = now.received;
    root.dataset.sent = now.sent;
    if (counted) {
      const received = now.received - counted.received;
      const lost = Math.max(0, now.lost - counted.lost);
      const line = received === 0 ? "lineSilent" : lost / (received + lost) > POOR ? "linePoor" : "lineGood";
      at("phone-line").textContent = root.dataset[line];
      at("phone-line").hidden = false;
    }
    counted = now;
  };

  const look = () => {
    if (!is.on || !ua) return;
    count();
    if (performance.now() > renewAt) {
      renewAt = performance.now() + RETRY_MS;
      admit(false).catch(() => {});
    }
    if (!is.wire || !wire.isConnected()) return;
    const silent = performance.now() - wire.heard;
    if (silent > DEAD_MS && look.asked) wire.drop();
    else if (silent > QUIET_MS) ua.sendOptions(`sip:${access.realm}`);
    look.asked = silent > QUIET_MS;
  };
  setInterval(look, LOOK_MS);
  addEventListener("offline", () => wire?.isConnected() && wire.drop());

  // ---- on and off
  let turn = null;
  const start = () => {
    if (is.on) return;
    is.on = true;
    // One tab is the phone; the next one waits for its turn. Without locks (in clear) there is no microphone either.
    if (!navigator.locks) return begin();
    is.elsewhere = true;
    const mine = new AbortController();
    turn = mine;
    const over = new Promise((done) => mine.signal.addEventListener("abort", done));
    navigator.locks
      .request(`cadencia-phone:${at("desk").dataset.agent}`, { signal: mine.signal }, () => {
        is.elsewhere = false;
        begin();
        return over;
      })
      .catch(() => {});
    setTimeout(show, 200);
  };
  const begin = async () => {
    if (!(await ask(kept("phone-microphone")))) return;
    speak();
    await enter();
  };
  const enter = async () => {
    if (!is.on || ua) return;
    try {
      await admit(false);
      is.problem = "";
    } catch (error) {
      is.problem = error.message;
      setTimeout(() => is.on && !ua && enter(), RETRY_MS);
    }
    if (is.on && !ua && !is.problem) register();
    show();
  };
  const stop = () => {
    if (!is.on) return;
    ua?.stop();
    microphone?.getTracks().forEach((track) => track.stop());
    ua = wire = session = microphone = null;
    Object.assign(is, { on: false, elsewhere: false, microphone: "", wire: false, registered: false, was: false, problem: "" });
    turn?.abort();
    wanted = false;
    show();
  };

  // ---- signing in, and coming back
  let wanted = false;
  const chosen = () => form.elements.browser?.value === "on";
  const choose = () => {
    const phone = at("desk-phone");
    if (!phone) return;
    at("desk-extension").hidden = chosen();
    phone.required = !chosen();
    phone.disabled = false;
  };
  // Ahead of the page's own: nobody's phone is called that is not there yet.
  document.addEventListener(
    "submit",
    (event) => {
      if (event.target !== form) return;
      kept("browser", chosen() ? "on" : "off");
      if (!chosen()) return stop();
      if (stateOf() === "ready") return;
      event.preventDefault();
      event.stopPropagation();
      context();
      wanted = true;
      start();
      show();
    },
    true,
  );
  let again = 0;
  let againAt = 0;
  // Loaded anew by somebody who is at work: the leg that the page before had may be there still, and is not ours.
  let anew = !["signed_out", "connecting", "lost", undefined].includes(at("desk-now")?.dataset.state);
  const ready = () => {
    if (wanted) {
      wanted = false;
      form.requestSubmit();
    } else if ((anew || at("desk-now")?.dataset.state === "lost") && at("desk-now")?.dataset.browser === "yes") comeBack();
  };
  const comeBack = async () => {
    if (performance.now() < againAt || again >= MOST_AGAIN) return;
    againAt = performance.now() + AGAIN_MS;
    again += 1;
    try {
      await post("/console/desk/phone/again");
    } catch {
      // No network: looked at again below.
    }
  };
  let call = at("desk-now")?.dataset.call ?? "";
  let before = "";
  const follow = () => {
    const now = at("desk-now")?.dataset;
    if (!now) return;
    if (now.call && now.call !== call && now.state === "talking" && session) tone();
    call = now.call;
    if (now.state !== "lost" && now.state !== "connecting") again = 0;
    if (now.state === "lost" || now.state === "signed_out") anew = false;
    // Whoever has worked with this browser goes on with it: after a reload, or with a page opened anew.
    if (now.state !== "signed_out" && now.browser === "yes") start();
    else if (is.on && !wanted && before && before !== "signed_out" && now.state === "signed_out") stop();
    before = now.state;
    if (is.on && stateOf() === "ready") ready();
  };
  live.addEventListener("htmx:sse:after:message", follow);
  setInterval(follow, LOOK_MS);

  // ---- what can be pressed
  at("phone-mute").addEventListener("click", (event) => {
    const muted = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(muted));
    microphone?.getAudioTracks().forEach((track) => {
      track.enabled = !muted;
    });
  });
  at("phone-again").addEventListener("click", () => {
    is.problem = "";
    show();
    if (ua) ua.register();
    else if (is.microphone === "live") enter();
    else begin();
  });
  at("phone-test").addEventListener("click", tone);
  at("phone-headset").addEventListener("toggle", level);
  at("phone-microphone").addEventListener("change", (event) => {
    kept("phone-microphone", event.target.value);
    ask(event.target.value);
  });
  at("phone-speaker").addEventListener("change", (event) => {
    kept("phone-speaker", event.target.value);
    speak();
  });
  at("phone-tone").addEventListener("change", (event) => kept("tone", event.target.value));
  navigator.mediaDevices?.addEventListener("devicechange", () => is.microphone === "live" && devices());
  at("phone-choice")?.addEventListener("change", choose);

  // ---- leaving
  const talks = () => session && at("desk-now")?.dataset.state === "talking";
  addEventListener("beforeunload", (event) => {
    if (talks()) event.preventDefault();
  });
  addEventListener("pagehide", () => {
    if (!is.on) return;
    // Whoever is loading the page anew goes on with the talk: their leg is left where it is, for as long as that may take.
    if (talks() && navigator.sendBeacon("/console/desk/phone/left", new URLSearchParams({ csrf }))) return;
    // Otherwise Asterisk is told at once, or people would be given to a headset that nobody hears.
    session?.terminate();
    stop();
  });
  addEventListener("pageshow", (event) => event.persisted && location.reload());

  if (kept("tone")) at("phone-tone").value = kept("tone");
  const remembered = kept("browser");
  const choice = remembered && form.querySelector(`input[name="browser"][value="${remembered === "on" ? "on" : ""}"]`);
  if (choice) choice.checked = true;
  choose();
  follow();
})();
