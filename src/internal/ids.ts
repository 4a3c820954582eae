import { randomBytes } from "node:crypto";

/** `bytes` random bytes as lower-case hex. */
export const randomHex = (bytes: number): string => randomBytes(bytes).toString("hex");

/** `bytes` random bytes as base64url without padding. */
export const randomBase64Url = (bytes: number): string => randomBytes(bytes).toString("base64url");
