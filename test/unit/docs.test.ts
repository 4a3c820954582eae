import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

const documents = [
  ...readdirSync(root),
  ...["docs", "examples"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  ),
].filter((name) => name.endsWith(".md"));

const textOf = (name: string): string => readFileSync(join(root, name), "utf8");

/** Files of the repository that a text names in code marks, such as `src/platform.ts`. */
const namedFiles = (text: string): string[] =>
  [...text.matchAll(/`((?:src|test|scripts|examples|bench|docs|proto|\.ci)\/[\w./-]*[\w/])`/g)].map(
    ([, path = ""]) => path,
  );

/** What headings are called in links, as GitHub makes it. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );

test("the walks through the architecture name files, and each of them exists", () => {
  const named = namedFiles(textOf("docs/architecture.md"));
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test.each(documents)("%s names only files that exist, and its links lead somewhere", (name) => {
  const text = textOf(name);
  expect(namedFiles(text).filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
  const broken = links.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [path = "", anchor] = target.split("#");
    const file = path === "" ? name : relative(root, join(root, dirname(name), path));
    if (!existsSync(join(root, file))) return true;
    return anchor !== undefined && !anchorsOf(textOf(file)).includes(anchor);
  });
  expect(broken).toEqual([]);
});

test("every decision is in the list of decisions", () => {
  const listed = [...textOf("docs/adr/README.md").matchAll(/\((\d{4}-[\w-]+\.md)\)/g)].map(([, file]) => file);
  const present = readdirSync(join(root, "docs/adr")).filter((file) => /^\d{4}-/.test(file));
  expect(listed).toEqual(present.sort());
});

test("the README leads to every guide and every reference", () => {
  const readme = textOf("README.md");
  const pages = documents.filter((name) => /^docs\/(?:guides|reference)\//.test(name));
  expect(pages.length).toBeGreaterThan(15);
  expect(pages.filter((page) => !readme.includes(`](${page})`))).toEqual([]);
});
