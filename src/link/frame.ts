/** Bytes of a frame's header: type, flags, payload length (24 bits), stream id (32 bits), all big-endian. */
export const frameHeaderBytes = 9;

/** Most bytes of a message that our side puts into one frame, so that no stream keeps the others waiting for long. */
export const pieceBytes = 16_384;

/** What a frame with message bytes costs in windows beside these bytes, so that empty messages are not free. */
export const pieceOverheadBytes = 16;

/** Longest reason of a reset or go-away, in bytes, that is read; what it has beyond that is left out. */
export const longestReasonBytes = 4_096;

/** The protocol's version that we speak. */
export const linkVersion = 1;

/** Kinds of frames. Frames of other kinds are skipped. */
export const frameType = {
  hello: 0,
  open: 1,
  part: 2,
  reset: 3,
  window: 4,
  ping: 5,
  pong: 6,
  goAway: 7,
} as const;

/** Flags of `open` and `part`. Other flags there are an error. */
export const frameFlag = {
  endOfMessage: 1,
  endOfStream: 2,
  head: 4,
  end: 8,
  informational: 16,
} as const;

/** What a call carries. `http` is a whole HTTP exchange: its bytes have no message borders. */
export const callKind = { unary: 0, clientStream: 1, serverStream: 2, bidi: 3, http: 4 } as const;

/** One of {@link callKind}. */
export type CallKind = (typeof callKind)[keyof typeof callKind];

/** Why a stream was given up. Other numbers from a peer mean `internal`. */
export const resetCode = {
  /** Whoever opened the call does not want it any more. */
  cancelled: 0,
  /** The call was not looked at: it may safely be sent again, elsewhere or later. */
  refused: 1,
  /** The call's deadline has passed. */
  deadline: 2,
  /** The link ended, or something behind the other side did. The call may have been looked at. */
  unavailable: 3,
  /** A message is larger than the receiver takes. */
  tooLarge: 4,
  /** The other side's code failed. */
  internal: 5,
  /** What came on this stream does not make sense, though the frames do. */
  protocol: 6,
} as const;

/** One of {@link resetCode}. */
export type ResetCode = (typeof resetCode)[keyof typeof resetCode];

/** Why a link ends. */
export const closeCode = {
  /** One side wants to stop; calls in flight were let finish. */
  graceful: 0,
  /** A frame that the protocol does not allow. */
  protocol: 1,
  /** More bytes than a window had room for. */
  flowControl: 2,
  /** More, or larger, of something than a limit allows. */
  limit: 3,
  /** The other side fell silent or took nothing. */
  timeout: 4,
  internal: 5,
  /** No common version. */
  version: 6,
  /** The identity that the link was opened with is good no more. */
  revoked: 7,
  /** The same plugin has opened a newer link. */
  replaced: 8,
  /** The connection underneath was lost. Never sent. */
  lost: 9,
} as const;

/** One of {@link closeCode}. */
export type CloseCode = (typeof closeCode)[keyof typeof closeCode];

/** A frame that ends the link. Thrown by decoders and caught by the session; nobody else sees it. */
export class LinkFault extends Error {
  override readonly name = "LinkFault";
  readonly code: CloseCode;

  constructor(code: CloseCode, message: string) {
    super(message);
    this.code = code;
  }
}
