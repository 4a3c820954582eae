import { PluginHostError } from "../errors.js";
import type { FieldList } from "../http/exchange.js";
import type { Timer } from "../internal/clock.js";
import { CallReceiver } from "./call-receiver.js";
import { ControlFrames } from "./control-frames.js";
import { type CloseCode, callKind, closeCode, LinkFault, resetCode } from "./frame.js";
import { callHeadProblem } from "./head-problem.js";
import { type PeerLimits, unsaidLimits, writeHello } from "./hello.js";
import { Inbox, type InboxEvents } from "./inbox.js";
import { KeepAlive } from "./keep-alive.js";
import { type LinkLimits, resolveLinkLimits } from "./link-limits.js";
import type { LinkCloseReason, LinkSessionOptions, LinkState, LinkStats } from "./link-session-options.js";
import type { LinkCallHead, LinkStream, LinkStreamHandler } from "./link-stream.js";
import type { LinkTransport } from "./link-transport.js";
import { OpenCalls } from "./open-calls.js";
import { Outbox } from "./outbox.js";
import { ReceiveWindow } from "./receive-window.js";
import { StreamCore, type StreamOwner } from "./stream-core.js";

// How long the other side may take to close the connection after the last frame.
const closeTimeoutMs = 2_000;

/** One link: calls in both directions over one transport. Both ends run the same code. */
export class LinkSession {
  readonly #options: LinkSessionOptions;
  readonly #limits: LinkLimits;
  readonly #transport: LinkTransport;
  readonly #calls: OpenCalls;
  readonly #outbox: Outbox;
  readonly #control: ControlFrames;
  readonly #inbox: Inbox;
  readonly #window: ReceiveWindow;
  readonly #keepAlive: KeepAlive;
  readonly #owner: StreamOwner;
  readonly #receiver: CallReceiver;
  #state: LinkState = "greeting";
  #peer: PeerLimits | undefined;
  #peerLeaves = false;
  #callsOpened = 0;
  #bytesReceived = 0;
  #checkedFields: FieldList | undefined;
  /** The one limit that runs beside keep-alive: for the greeting, then for the end. */
  #timer: Timer | undefined;

  /** Greets the other side at once. */
  constructor(transport: LinkTransport, options: LinkSessionOptions) {
    const { clock } = options;
    this.#options = options;
    this.#limits = resolveLinkLimits(options.limits);
    this.#transport = transport;
    this.#calls = new OpenCalls(clock, options.role === "dialler" ? 1 : 2);
    this.#inbox = new Inbox(this.#incoming(), this.#limits, clock);
    this.#outbox = this.#newOutbox();
    this.#control = new ControlFrames(this.#outbox);
    this.#window = new ReceiveWindow(this.#limits, this.#control);
    this.#owner = this.#newOwner();
    this.#receiver = new CallReceiver({
      calls: this.#calls,
      window: this.#window,
      control: this.#control,
      inbox: this.#inbox,
      owner: this.#owner,
      limits: this.#limits,
      state: () => this.#state,
      onCall: options.onCall,
      over: (stream) => this.#over(stream),
      report: (error) => this.#report(error),
    });
    this.#keepAlive = new KeepAlive(clock, this.#limits, {
      ping: () => this.#control.ping(),
      dead: (message) => this.#fail(closeCode.timeout, message),
    });
    const { helloTimeoutMs } = this.#limits;
    const late = (): void => this.#fail(closeCode.timeout, `no greeting within ${helloTimeoutMs} ms`);
    this.#timer = clock.after(helloTimeoutMs, late);
    transport.start({
      data: (bytes) => this.#data(bytes),
      drain: () => this.#outbox.drained(),
      close: (error) => this.#lost(error),
    });
    writeHello(this.#outbox.writer, this.#limits);
    this.#outbox.flush();
  }

  get state(): LinkState {
    return this.#state === "open" && this.#peerLeaves ? "closing" : this.#state;
  }

  get stats(): LinkStats {
    return {
      openStreams: this.#calls.open,
      waitingCalls: this.#calls.waiting,
      callsOpened: this.#callsOpened,
      callsTaken: this.#receiver.taken,
      bytesSent: this.#outbox.bytesSent,
      bytesReceived: this.#bytesReceived,
      unreadBytes: this.#window.unread,
    };
  }

  /**
   * Opens a call. With `message` and `endOfStream` an ordinary call is one frame. If the other side has enough calls open
   * this one waits, and its deadline runs.
   *
   * @throws PluginHostError `PLUGIN_UNREACHABLE` if the link takes no calls, `LIMIT_REACHED` if too many wait,
   * `INVALID_ARGUMENT` if the head is malformed or larger than the other side takes
   */
  open(head: LinkCallHead, handler: LinkStreamHandler, message?: Uint8Array, endOfStream = false): LinkStream {
    const peer = this.#peer;
    if (this.state !== "open" || peer === undefined) {
      throw new PluginHostError("PLUGIN_UNREACHABLE", `the link is ${this.state} and takes no calls; dial again`);
    }
    // Callers often pass the same list of fields with every call.
    const problem = callHeadProblem(head, peer, head.fields === this.#checkedFields)?.message;
    if (problem !== undefined) throw new PluginHostError("INVALID_ARGUMENT", `the call cannot be sent: ${problem}`);
    // What an HTTP exchange may have is not good for other calls.
    if (head.kind !== callKind.http) this.#checkedFields = head.fields;
    if (this.#calls.ours >= peer.maxStreams && this.#calls.waiting >= this.#limits.maxWaitingCalls) {
      const message = `${this.#calls.ours} calls are open on the link and ${this.#calls.waiting} wait; call less at a time`;
      throw new PluginHostError("LIMIT_REACHED", message);
    }
    const stream = new StreamCore(this.#owner, 0, true, head, peer.streamWindowBytes);
    stream.handler = handler;
    this.#calls.addOurs(stream, peer.maxStreams);
    if (endOfStream) stream.end(undefined, message);
    else if (message !== undefined) stream.send(message);
    else this.#outbox.announce(stream);
    return stream;
  }

  /**
   * Ends the link in good order: no new calls from now on, those open are finished, and after `graceMs` cut off. With another
   * code than `graceful` the link ends at once. Idempotent.
   */
  close(message = "", code: CloseCode = closeCode.graceful, graceMs = 30_000): void {
    if (this.#state === "closed" || (this.#state === "closing" && code === closeCode.graceful)) return;
    if (code !== closeCode.graceful || this.#state === "greeting") return this.#fail(code, message);
    this.#state = "closing";
    this.#control.goAway(code, this.#receiver.taken, message);
    const cut = (): void => this.#finish({ code, message: message || "the last calls took too long", byPeer: false });
    this.#timer = this.#options.clock.after(graceMs, cut);
    this.#finishIfIdle();
  }

  /** A stream is over: nothing is kept of it but what somebody still reads. */
  #over(stream: StreamCore): void {
    if (stream.closed) return;
    stream.closed = true;
    this.#outbox.forget(stream);
    this.#calls.remove(stream);
    const unread = stream.drop(stream.ours && stream.peerEnd !== undefined);
    if (this.#state === "closed") return;
    if (unread > 0) this.#window.release(unread);
    if (stream.ours && this.#calls.waiting > 0) {
      const next = this.#calls.nextWaiting(this.#peer?.maxStreams ?? 0);
      if (next !== undefined) this.#outbox.activate(next);
    }
    if (this.#state === "closing") this.#finishIfIdle();
  }

  #finishIfIdle(): void {
    if (this.#calls.open > 0 || this.#calls.waiting > 0) return;
    this.#finish({ code: closeCode.graceful, message: "every call has finished", byPeer: false });
  }

  /** The other side broke the rules or is gone, or we have no use for it. */
  #fail(code: CloseCode, message: string): void {
    if (this.#state === "closed") return;
    this.#control.goAway(code, this.#receiver.taken, message);
    this.#finish({ code, message, byPeer: false });
  }

  #lost(error: Error | undefined): void {
    const message = error?.message ?? "the connection was closed";
    this.#finish({ code: closeCode.lost, message, byPeer: false });
    this.#timer?.cancel();
  }

  /** Ends everything. Calls beyond `callsTaken` were certainly not looked at. */
  #finish(reason: LinkCloseReason, callsTaken = Number.POSITIVE_INFINITY): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#keepAlive.stop();
    this.#calls.stop();
    this.#timer?.cancel();
    this.#outbox.stop();
    this.#timer = this.#options.clock.after(closeTimeoutMs, () => this.#transport.destroy());
    this.#transport.close();
    this.#cutOff(callsTaken, resetCode.unavailable, `the link ended: ${reason.message || "no reason given"}`);
    this.#guard(() => this.#options.onClose?.(reason));
  }

  /** Ends calls of ours that the other side has certainly not looked at, and all others if there is a code for them. */
  #cutOff(callsTaken: number, others: typeof resetCode.unavailable | undefined, message: string): void {
    for (const stream of this.#calls.all()) {
      const untouched = stream.ours && (stream.openWaits || stream.ordinal > callsTaken);
      const code = untouched ? resetCode.refused : others;
      if (code === undefined || stream.closed) continue;
      this.#over(stream);
      this.#guard(() => stream.receiveReset(code, message));
    }
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    try {
      this.#options.onError?.(error);
    } catch {
      // Nobody is left to tell.
    }
  }

  #data(bytes: Uint8Array): void {
    if (this.#state === "closed") return;
    this.#bytesReceived += bytes.length;
    this.#keepAlive.heard();
    try {
      this.#inbox.push(bytes);
    } catch (error) {
      if (error instanceof LinkFault) return this.#fail(error.code, error.message);
      this.#report(error);
      this.#fail(closeCode.internal, "an error in the session");
    }
  }

  #newOutbox(): Outbox {
    return new Outbox(this.#transport, {
      opened: (stream) => {
        stream.ordinal = ++this.#callsOpened;
      },
      ended: (stream) => {
        if (!stream.ours) this.#over(stream);
      },
      blocked: (blocked) => {
        this.#keepAlive.blocked(blocked);
        if (!blocked) this.#control.resume();
      },
      overflow: () => this.#fail(closeCode.timeout, "the other side sends, but takes nothing"),
      failed: (error) => this.#report(error),
    });
  }

  #newOwner(): StreamOwner {
    return {
      outbox: this.#outbox,
      limits: this.#limits,
      peer: () => this.#peer ?? unsaidLimits,
      abandon: (stream, code, message) => {
        if (stream.id !== 0 && !stream.openWaits) this.#control.reset(stream.id, code, message);
        this.#over(stream);
      },
      release: (stream, bytes) => {
        if (this.#state !== "closed") this.#window.releaseStream(stream, bytes);
      },
      guard: (work) => this.#guard(work),
    };
  }

  #incoming(): InboxEvents {
    return {
      ended: () => this.#state === "closed",
      hello: (peer) => {
        this.#peer = peer;
        this.#state = "open";
        this.#timer?.cancel();
        this.#outbox.greet(peer);
        this.#keepAlive.start();
        this.#guard(() => this.#options.onReady?.());
      },
      open: (id, head, content) => this.#receiver.open(id, head, content, this.#peer),
      part: (id, head, informational, content) => this.#receiver.part(id, head, informational, content),
      reset: (id, code, message) => {
        const stream = this.#calls.get(id);
        if (stream === undefined) return;
        this.#over(stream);
        this.#guard(() => stream.receiveReset(code, message));
      },
      window: (id, bytes) => {
        if (id === 0) return this.#outbox.grantLink(bytes);
        const stream = this.#calls.get(id);
        if (stream !== undefined) this.#outbox.grantStream(stream, bytes);
      },
      ping: (payload) => this.#control.pong(payload),
      goAway: (code, callsTaken, message) => {
        if (code !== closeCode.graceful) return this.#finish({ code, message, byPeer: true }, callsTaken);
        this.#peerLeaves = true;
        this.#cutOff(callsTaken, undefined, `the other side takes no more calls: ${message || "it stops"}`);
        this.#guard(() => this.#options.onGoAway?.(message));
      },
    };
  }
}
