/**
 * A field of calls for any provider of a type: the runtime ids, separated by commas, of those that must not be chosen. Where it is
 * there, also empty, the host tells in {@link providerField} whom it has asked.
 */
export const avoidField = "x-plugin-avoid";

/** A field of answers: the runtime id of the provider that the host has chosen. The host's alone. */
export const providerField = "x-plugin-provider";

/** How many runtime ids may stand in {@link avoidField}. */
export const maxAvoided = 64;
