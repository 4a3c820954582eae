import type { Clock } from "../internal/clock.js";
import type { CloseCode } from "./frame.js";
import type { LinkLimits } from "./link-limits.js";
import type { LinkStream, LinkStreamHandler } from "./link-stream.js";

/** Why a link ended. */
export interface LinkCloseReason {
  readonly code: CloseCode;
  readonly message: string;
  /** Whether the other side said so. */
  readonly byPeer: boolean;
}

/** What a session is made with. What the functions throw goes to `onError` and disturbs nothing else. */
export interface LinkSessionOptions {
  /** `dialler` opened the connection; it says which stream ids are whose. */
  readonly role: "dialler" | "acceptor";
  readonly clock: Clock;
  readonly limits?: Partial<LinkLimits>;
  /**
   * A call of the other side. Returns who takes care of it; its first message comes right after. `stream.reset` there
   * refuses the call.
   */
  readonly onCall: (stream: LinkStream) => LinkStreamHandler;
  /** The other side has greeted: calls may be opened from now on. */
  readonly onReady?: () => void;
  /** The other side takes no new calls; those open go on. Time to dial another link. */
  readonly onGoAway?: (message: string) => void;
  /** The link is over. Comes once, after every stream has got its `onReset`. */
  readonly onClose?: (reason: LinkCloseReason) => void;
  /** What a handler has thrown. */
  readonly onError?: (error: unknown) => void;
}

/** `greeting` until the other side has greeted; `closing` while the last calls finish. */
export type LinkState = "greeting" | "open" | "closing" | "closed";

/** Numbers of a link, for people and metrics. */
export interface LinkStats {
  readonly openStreams: number;
  /** Own calls that the other side has no room for yet. */
  readonly waitingCalls: number;
  /** Own calls whose first frame was written. */
  readonly callsOpened: number;
  /** Calls of the other side, refused ones too. */
  readonly callsTaken: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Received bytes that nobody has consumed, counted as in windows. */
  readonly unreadBytes: number;
}
