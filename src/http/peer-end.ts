import type { ClientHttp2Stream } from "node:http2";

/**
 * Watches a stream of which nothing was read yet. What it returns tells, once the stream has said `end`, whether the peer cut
 * its answer off: whether it reset the stream without having ended it.
 *
 * A stream that is reset with NO_ERROR says `end` as if nothing had happened, and the code is the same where a peer first ends
 * a stream and then resets it, which only says that it wants no more of the request (RFC 9113, 8.1).
 */
export function watchPeerEnd(stream: ClientHttp2Stream): () => boolean {
  let cutOff: boolean | undefined;
  const push = stream.push;
  // END_STREAM ends the reading while the stream stands. A reset closes the stream first. Later is too late to ask: what was
  // read waits in the stream if its reader does, and by the time of `end` both have closed it.
  stream.push = (chunk, encoding) => {
    if (chunk === null) cutOff ??= stream.closed;
    return push.call(stream, chunk, encoding);
  };
  return () => cutOff === true;
}
