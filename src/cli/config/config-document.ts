import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from "yaml";

/** One thing that is wrong with a file. */
export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** Such as `plugins[0].command`; empty for the file as a whole. */
  readonly field: string;
  readonly message: string;
}

/** A path into a document: names and indexes. */
export type FieldPath = readonly PropertyKey[];

/** A YAML or JSON text (JSON is YAML, too) that knows where everything stands. */
export class ConfigDocument {
  readonly #document: Document;
  readonly #lines = new LineCounter();
  /** Of the text itself, and of variables in it that are not set. */
  readonly problems: readonly ConfigProblem[];

  /** `${NAME}` in texts becomes the variable's value; `$${` stands for `${`. */
  constructor(text: string, variables: Readonly<Record<string, string | undefined>>) {
    // Longer than a screen, such a message would repeat the file.
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, strict: true });
    const broken = [...this.#document.errors, ...this.#document.warnings].map(
      ({ message, pos: [offset] }): ConfigProblem => ({ ...this.#place(offset), field: "", message }),
    );
    this.problems = broken.length > 0 ? broken : this.#insertVariables(variables);
  }

  /** The content as plain values. Call it only if there are no problems. @throws Error if aliases unfold to too much */
  toValue(): unknown {
    return this.#document.toJS() ?? {};
  }

  /** A problem at a field, or at the nearest thing around it that is there. With `name`, at that name in it. */
  problemAt(path: FieldPath, message: string, name?: string): ConfigProblem {
    const field = fieldText(name === undefined ? path : [...path, name]);
    return { ...this.#place(this.#offsetOf(path, name)), field, message };
  }

  #offsetOf(path: FieldPath, name: string | undefined): number {
    let node: unknown = this.#document.contents;
    let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
    for (const step of name === undefined ? path : [...path, name]) {
      node = this.#resolved(node);
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => (isScalar(key) ? String(key.value) : "") === String(step));
        if (pair === undefined) return offset;
        if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
        // The value says more than its name, unless it is the name that is wrong.
        node = pair.value;
        if (step !== name && isNode(node) && !isMap(node)) offset = node.range?.[0] ?? offset;
      } else {
        const items = typeof node === "object" && node !== null && "items" in node ? (node.items as unknown[]) : [];
        const item = items[Number(step)];
        if (!isNode(item)) return offset;
        node = item;
        offset = item.range?.[0] ?? offset;
      }
    }
    return offset;
  }

  #resolved(node: unknown): unknown {
    return isAlias(node) ? node.resolve(this.#document) : node;
  }

  #insertVariables(variables: Readonly<Record<string, string | undefined>>): ConfigProblem[] {
    const problems: ConfigProblem[] = [];
    visit(this.#document, {
      Scalar: (key, node, ancestors) => {
        if (key === "key" || typeof node.value !== "string") return;
        node.value = node.value.replace(/\$(\$\{|\{([^}]*)\}?)/g, (whole, rest: string, name: string | undefined) => {
          if (rest === "${") return "${";
          const problem = variableProblem(whole, name ?? "", variables);
          if (problem === undefined) return variables[name ?? ""] ?? "";
          problems.push({
            ...this.#place(node.range?.[0] ?? 0),
            field: fieldText(pathTo(ancestors, node)),
            message: problem,
          });
          return "";
        });
      },
    });
    return problems;
  }

  #place(offset: number): { readonly line: number; readonly column: number } {
    const { line, col } = this.#lines.linePos(offset);
    // An empty file has no lines.
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

function variableProblem(
  whole: string,
  name: string,
  variables: Readonly<Record<string, string | undefined>>,
): string | undefined {
  if (!whole.endsWith("}")) return `has \${ without }; write $\${ for the characters themselves`;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return `names no variable in ${whole}; write $\${ for the characters themselves`;
  return variables[name] === undefined ? `needs the environment variable ${name}, which is not set` : undefined;
}

/** Where a node stands, from what is around it. */
function pathTo(ancestors: readonly unknown[], node: Node): FieldPath {
  const chain = [...ancestors, node];
  return chain.flatMap((part, index): PropertyKey[] => {
    if (isPair(part)) return isScalar(part.key) ? [String(part.key.value)] : [];
    const next = chain[index + 1];
    if (isMap(part) || typeof part !== "object" || part === null || !("items" in part)) return [];
    return [(part.items as unknown[]).indexOf(next)];
  });
}

/** `plugins[0].command`. */
const fieldText = (path: FieldPath): string =>
  path.reduce<string>(
    (text, step) =>
      typeof step === "number" ? `${text}[${step}]` : text === "" ? String(step) : `${text}.${String(step)}`,
    "",
  );

/** The path that {@link fieldText} shows. */
export const fieldPath = (text: string): FieldPath =>
  [...text.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map(([step, index]) => (index === undefined ? step : Number(index)));
