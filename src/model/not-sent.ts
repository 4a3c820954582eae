/**
 * A field of refusals of the host: the call was passed to no provider, so that it can be made again whatever it does. Its
 * value is the runtime id of the caller who was refused, so that nobody who hands the error on can make it true for others.
 */
export const notSentField = "x-plugin-not-sent";
