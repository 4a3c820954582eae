import { z } from "zod";

const count = (why: string, min = 1) => z.int().min(min).exactOptional().describe(why);
const bytes = (why: string) => z.int().min(1).exactOptional().describe(`${why}, in bytes`);
const ms = (why: string) => z.number().min(0).exactOptional().describe(`${why}, in milliseconds`);

/** `link`: limits of the links that plugins dial, or false. The host checks the values further. */
export const linkSchema = z
  .union([
    z.literal(false).describe("Take no links"),
    z.strictObject({
      maxLinks: count("Links at once"),
      maxFrameBytes: bytes("Payload of one frame"),
      maxHeadBytes: bytes("Size of one head, or of the trailers of one end"),
      maxFields: count("Fields of one head or end"),
      maxErrorBytes: z.int().min(0).exactOptional().describe("Message and details of a call's error, in bytes"),
      maxMessageBytes: bytes("One message"),
      maxStreams: count("Calls that one plugin may have open on its link"),
      maxWaitingCalls: count("Calls that wait because a plugin takes no more", 0),
      streamWindowBytes: bytes("Unread bytes of one call"),
      linkWindowBytes: bytes("Unread bytes of all calls of a link"),
      tableSlots: count("Texts that the other side may send as numbers", 0),
      maxResetsPerSecond: count("Calls that a plugin may cancel in a second"),
      maxPingsPerSecond: count("Pings and the like in a second"),
      helloTimeoutMs: ms("How long the first frame may take"),
      keepAliveIntervalMs: ms("Silence after which the host asks whether the plugin is still there"),
      keepAliveTimeoutMs: ms("Silence after such a question that ends the link"),
      writeStallTimeoutMs: ms("How long a connection may take none of the host's bytes"),
    }),
  ])
  .describe("Links that plugins dial: their limits, or false for none at all");
