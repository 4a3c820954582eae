import { createHmac } from "node:crypto";

/** Carries the secret by which a plugin knows its host. Lower-case. */
export const hostSecretHeader = "x-plugin-host-secret";

const purpose = "connect-plugin-host: host secret";

/**
 * The host secret of a launched program. Both sides have the launch's nonce and nobody else does, so both know the secret
 * before the first call; who learns the secret does not learn the nonce.
 */
export const hostSecretOf = (nonce: string): string => createHmac("sha256", nonce).update(purpose).digest("base64url");
