import { z } from "zod";
import { upstreamTlsSchema } from "./tls-schema.js";

const count = (why: string, min = 1) => z.int().min(min).describe(why);
const bytes = (why: string, min = 0) => z.int().min(min).describe(`${why}, in bytes`);
const ms = (why: string) => z.number().min(0).describe(`${why}, in milliseconds`);

/** `router`: limits and habits towards providers. The host checks the values further. */
export const routerSchema = z
  .strictObject({
    headersTimeoutMs: ms("How long to wait for the head of a provider's answer").exactOptional(),
    connectTimeoutMs: ms("How long a new connection to a provider may take").exactOptional(),
    startGraceMs: ms("How long a provider that has just started is dialled again").exactOptional(),
    idleStreamMs: ms("How long an upgraded connection may last in which no byte moves").exactOptional(),
    whenAllEjected: z
      .enum(["fail", "try"])
      .exactOptional()
      .describe("What becomes of calls for which all providers are ejected; fail if left out"),
    maxBodyBytes: bytes("The longest request body").exactOptional(),
    replayMaxBytes: bytes("How much of a request is kept to be sent again if its provider refused it").exactOptional(),
    maxInFlightPerProvider: count("How many calls one provider may work on at a time").exactOptional(),
    maxQueuedPerProvider: count("How many calls may wait for a provider to have room", 0).exactOptional(),
    queueTimeoutMs: ms("How long such a call waits").exactOptional(),
    idleSocketMs: ms("How long an unused HTTP/1.1 connection to a provider is kept").exactOptional(),
    idleSessionMs: ms("How long an unused HTTP/2 connection to a provider is kept").exactOptional(),
    maxStreamsPerSession: count("How many calls share one HTTP/2 connection to a provider").exactOptional(),
    probeTimeoutMs: ms("How long a provider may take to show that it speaks HTTP/2").exactOptional(),
    retryAfterMs: ms("What Retry-After says where it is worth to try again").exactOptional(),
    maxHeaderBytes: bytes("The largest head of a provider's answer", 1_024).exactOptional(),
    publicHost: z.string().exactOptional().describe("Sent as X-Forwarded-Host where a request names no host"),
    trustedProxies: z
      .array(z.string().min(1))
      .exactOptional()
      .describe("IP addresses, and ranges such as 10.0.0.0/8, whose X-Forwarded fields are believed"),
    stripUserCredentials: z
      .boolean()
      .exactOptional()
      .describe("Keep Authorization and Cookie of users of exposed services from providers"),
    tls: upstreamTlsSchema.exactOptional(),
    viaName: z.string().min(1).exactOptional().describe("The host's name in Via"),
  })
  .describe("Limits and habits of the router");

/** `server`: limits of the host's own port. */
export const serverSchema = z
  .strictObject({
    firstByteTimeoutMs: ms("How long a new connection may take to send its first bytes").exactOptional(),
    headersTimeoutMs: ms("How long an HTTP/1.1 caller may take to send a request's head").exactOptional(),
    keepAliveTimeoutMs: ms("How long an HTTP/1.1 connection is kept without a request").exactOptional(),
    maxHeaderBytes: bytes("Size of a request's head, and of its trailers", 1_024).exactOptional(),
    maxHeaderCount: count("Fields in a request's head").exactOptional(),
    maxUrlBytes: bytes("Length of path and query together").exactOptional(),
    maxConcurrentStreams: count("Requests at once on one HTTP/2 connection").exactOptional(),
    streamWindowBytes: bytes("How far an HTTP/2 caller may send ahead of the reader of its request").exactOptional(),
    connectionWindowBytes: bytes("How much may be under way on an HTTP/2 connection").exactOptional(),
    dropMaxBytes: bytes("How much of a request is read and dropped after its answer").exactOptional(),
    dropTimeoutMs: ms("How long a caller may go on sending its request after the answer").exactOptional(),
  })
  .describe("Limits of the host's own port");
