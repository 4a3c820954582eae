import { InvalidArgumentError } from "commander";
import { parseDuration } from "./duration.js";

/** Reads an option that is a time span, in milliseconds. @throws InvalidArgumentError */
export function durationOption(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("It must be a number with a unit: 500ms, 5s, 2m or 1h.");
  return ms;
}
