/**
 * What our host can do beyond the Go library's, told to plugins in the handshake and with the runtime identity
 * (field 100 `host_features`), so that the SDK falls back where it meets another host.
 */
export const hostFeatures = {
  /** `/services/<type>/any/` chooses a provider for each call. */
  routeAny: "route-any",
  /** The host's port speaks HTTP/2 cleartext with prior knowledge. */
  h2c: "h2c",
  /** WatchService knows min_version, resume_revision, heartbeats and include_providers. */
  watchDetails: "watch-details",
  /** Plugins that check it get a secret by which they know the host (docs/reference/wire.md, W-3.11). */
  hostSecret: "host-secret",
} as const;

/** Said in the same place by a host that takes links (docs/reference/link.md, 1.1). */
export const linkFeature = "link-v1";
