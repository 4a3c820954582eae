/** A folder of src/, or `platform` for the files beside them, or `index` and `errors` for the files of that name. */
export type Part = string;

const foundation = ["errors", "internal", "model", "http", "link"];
const domain = [
  "graph",
  "registry",
  "identity",
  "health",
  "router",
  "launch",
  "lifecycle",
  "store",
  "observe",
  "capabilities",
];

const alike = (parts: readonly Part[], allowed: readonly Part[]) => parts.map((part) => [part, allowed] as const);

/** Which other parts the files of a part may import. */
export const mayImport: ReadonlyMap<Part, readonly Part[]> = new Map([
  ["errors", []],
  ["internal", ["errors"]],
  ["model", ["errors", "internal"]],
  ["http", ["errors", "internal", "model"]],
  ["link", ["errors", "internal", "model", "http"]],
  ["gen", []],
  // They meet through small interfaces that the platform passes in, so that each can be understood and tested alone.
  ...alike(domain, foundation),
  ["rpc", [...foundation, ...domain, "gen"]],
  ["platform", [...foundation, ...domain, "rpc"]],
  ["index", [...foundation, ...domain, "rpc", "platform"]],
  // What a plugin loads: never the host.
  ["plugin", [...foundation, "gen"]],
  // Written like code of a third party.
  ...alike(["adapters", "dashboard", "testing"], ["index", "plugin"]),
  // It talks to hosts over the wire, too.
  ["cli", ["index", "plugin", "gen"]],
]);

/** The part that a file belongs to. `path` is relative to src/, with `/` between names. */
export function partOf(path: string): Part {
  const [first = "", ...rest] = path.split("/");
  if (rest.length > 0) return first;
  const name = first.replace(/\.ts$/, "");
  return name === "errors" || name === "index" ? name : "platform";
}
