import type { z } from "zod";
import type { ConfigDocument, ConfigProblem } from "./config-document.js";

type Issue = z.core.$ZodIssue;

/** What the schema finds wrong, as problems with their places. Several unknown names become several problems. */
export function explainIssue(issue: Issue, value: unknown, document: ConfigDocument): ConfigProblem[] {
  const { path } = issue;
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => document.problemAt(path, "is not a name that may stand here", key));
  }
  // A bad name of a record's entry: what is wrong with it stands inside.
  if (issue.code === "invalid_key") return [document.problemAt(path, "must not have an empty name")];
  if (issue.code === "invalid_union") {
    // Of several forms the one counts that was meant, of which only parts are wrong.
    const meant = issue.errors.find((form) =>
      form.every(({ path: inside, code }) => inside.length > 0 || isOfParts(code)),
    );
    const parts = meant?.map((part): Issue => ({ ...part, path: [...path, ...part.path] }));
    if (parts !== undefined) return parts.flatMap((part) => explainIssue(part, value, document));
  }
  return [document.problemAt(path, messageOf(issue, valueAt(value, path)))];
}

const isOfParts = (code: Issue["code"]): boolean => code === "unrecognized_keys";

function messageOf(issue: Issue, found: unknown): string {
  switch (issue.code) {
    case "invalid_type":
      if (found === undefined) return `is missing; it must be ${typeName(issue.expected)}`;
      return `must be ${typeName(issue.expected)}, got ${shown(found)}`;
    case "invalid_value": {
      const allowed = issue.values.map(String).join(", ");
      return found === undefined
        ? `is missing; it must be one of ${allowed}`
        : `must be one of ${allowed}, got ${shown(found)}`;
    }
    case "too_small":
      if (issue.origin === "string") return "must not be empty";
      return `must be ${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}, got ${shown(found)}`;
    case "invalid_union":
      return `must be ${issue.errors.flat().map(formOf).join(" or ")}, got ${shown(found)}`;
    case "too_big":
      return `must be at most ${issue.maximum}, got ${shown(found)}`;
    case "custom":
      return typeof found === "object" || found === undefined || issue.message.startsWith("belongs")
        ? issue.message
        : `${issue.message}, got ${shown(found)}`;
    default:
      return issue.message;
  }
}

const formOf = (issue: Issue): string => {
  if (issue.code === "invalid_value") return issue.values.map(String).join(", ");
  return issue.code === "invalid_type" ? typeName(issue.expected) : issue.message;
};

const typeNames: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object of names and values",
  record: "an object of names and values",
};

const typeName = (name: string): string => typeNames[name] ?? name;

function shown(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  return String(value);
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const step of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as Record<PropertyKey, unknown>)[step];
  }
  return found;
}
