// Not from "semver" itself, which loads more than twice as many files as these need.
import Range from "semver/classes/range.js";
import compare from "semver/functions/compare.js";
import compareBuild from "semver/functions/compare-build.js";
import parse from "semver/functions/parse.js";
import { invalid } from "../errors.js";
import { checkString, shown } from "./limits.js";

const maxVersionBytes = 64;
const maxRangeBytes = 256;

/**
 * Checks a semantic version (semver.org 2.0.0, without a leading `v`) and returns it unchanged.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field`
 */
export function checkVersion(field: string, version: string): string {
  checkString(field, version);
  if (version.length > maxVersionBytes) {
    throw invalid(field, `is ${version.length} bytes long; at most ${maxVersionBytes} are allowed`);
  }
  // semver.parse also takes "v1.2.3", "=1.2.3" and space around them; the wire contract does not.
  if (!/^\d\S*$/.test(version) || parse(version) === null) {
    throw invalid(field, `must be a semantic version such as "1.2.3", got ${shown(version)}`);
  }
  return version;
}

/** Answers whether a version satisfies what was asked for. Made once per range, so that asking is cheap. */
export type VersionTest = (version: string) => boolean;

/**
 * Compiles what a caller asks of a version: empty is any, a complete `x.y.z` a minimum, anything else an npm range.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field`
 */
export function compileVersionRange(field: string, wanted: string): VersionTest {
  checkString(field, wanted);
  if (wanted === "") return () => true;
  if (wanted.length > maxRangeBytes) {
    throw invalid(field, `is ${wanted.length} bytes long; at most ${maxRangeBytes} are allowed`);
  }
  // "v1.2.3" and "=1.2.3" are ranges of one version, as npm reads them; space around a version means nothing.
  const minimum = /^\s*\d/.test(wanted) ? parse(wanted) : null;
  if (minimum !== null) {
    return (version) => parse(version) !== null && compare(version, minimum) >= 0;
  }
  let range: Range;
  try {
    range = new Range(wanted);
  } catch (cause) {
    const hint = 'must be a version such as "1.2.0" or an npm range such as "^1.2"';
    throw invalid(field, `${hint}, got ${shown(wanted)}`, cause);
  }
  return (version) => range.test(version);
}

/** Order of two versions: higher first. What is not a version comes last, in the order of its text. */
export function compareVersionsDescending(a: string, b: string): number {
  const left = parse(a);
  const right = parse(b);
  if (left !== null && right !== null) return compareBuild(right, left);
  if (left !== null) return -1;
  if (right !== null) return 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
