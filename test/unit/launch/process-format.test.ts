import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkFormat } from "../../../src/launch/process-format.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "process-format-"));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
async function file(content: string | Buffer, mode = 0o755): Promise<string> {
  const path = join(folder, `file-${files++}`);
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}

interface Elf {
  readonly machine: number;
  readonly type?: number;
  readonly isBigEndian?: boolean;
  readonly loader?: string;
}

/** An ELF file of 64 bits with one program header. */
function elf({ machine, type = 2, isBigEndian = false, loader }: Elf): Buffer {
  const head = Buffer.alloc(256);
  const u16 = (value: number, at: number) =>
    isBigEndian ? head.writeUInt16BE(value, at) : head.writeUInt16LE(value, at);
  const u32 = (value: number, at: number) =>
    isBigEndian ? head.writeUInt32BE(value, at) : head.writeUInt32LE(value, at);
  head.write("7f454c4602", "hex");
  head[5] = isBigEndian ? 2 : 1;
  u16(type, 16);
  u16(machine, 18);
  u32(64, 32);
  u16(56, 54);
  u16(loader === undefined ? 0 : 1, 56);
  if (loader !== undefined) {
    u32(3, 64);
    u32(128, 72);
    u32(loader.length + 1, 96);
    head.write(loader, 128);
  }
  return head;
}

const path = "/usr/bin:/bin";

test.each([
  ["a script for sh", "#!/bin/sh\necho\n"],
  ["a script with an argument", "#! /bin/sh -e\n"],
  ["a script that env finds", "#!/usr/bin/env sh\n"],
  ["env with options, which it reads itself", "#!/usr/bin/env -S no-such-program\n"],
  ["text without a first line for the system, which shells run", "echo hello\n"],
  ["nothing", ""],
  ["a program for this machine", elf({ machine: 62 })],
  ["a position independent program", elf({ machine: 62, type: 3 })],
  ["a program with a loader that is there", elf({ machine: 62, loader: "/bin/sh" })],
])("%s passes", async (_, content) => {
  await checkFormat(await file(content), path, "x64");
});

test.each([
  ["a missing interpreter", "#!/no/such/interpreter\n", /script for \/no\/such\/interpreter/],
  [
    "a missing program of env",
    "#!/usr/bin/env no-such-program\n",
    /script for no-such-program, which no folder of PATH/,
  ],
  ["an interpreter without an absolute path", "#!sh\n", /absolute path/],
  ["Windows line ends", "#!/bin/sh\r\n", /Windows line ends/],
  ["an object file", elf({ machine: 62, type: 1 }), /no program/],
  ["half an ELF file", elf({ machine: 62 }).subarray(0, 20), /incomplete/],
  ["a missing loader", elf({ machine: 62, loader: "/lib/ld-other.so.1" }), /needs the loader \/lib\/ld-other\.so\.1/],
])("%s is COMMAND_NOT_EXECUTABLE", async (_, content, message) => {
  const check = checkFormat(await file(content), path, "x64");
  await expect(check).rejects.toMatchObject({
    code: "COMMAND_NOT_EXECUTABLE",
    message: expect.stringMatching(message),
  });
});

test.each([
  ["arm64", elf({ machine: 183 }), "x64", /built for arm64/],
  ["x64", elf({ machine: 62 }), "arm64", /built for x64/],
  ["big-endian", elf({ machine: 22, isBigEndian: true }), "x64", /built for s390x/],
  ["a machine without a name", elf({ machine: 999 }), "x64", /built for machine 999/],
])("a program for %s is COMMAND_WRONG_ARCHITECTURE", async (_, content, arch, message) => {
  const check = checkFormat(await file(content), path, arch);
  await expect(check).rejects.toMatchObject({
    code: "COMMAND_WRONG_ARCHITECTURE",
    message: expect.stringMatching(message),
  });
});

test.runIf(process.platform === "linux").each([
  ["Windows", "4d5a9000"],
  ["macOS", "cffaedfe"],
])("a program for %s is COMMAND_WRONG_ARCHITECTURE on Linux", async (system, magic) => {
  const check = checkFormat(await file(Buffer.from(magic, "hex")), path);
  await expect(check).rejects.toMatchObject({
    code: "COMMAND_WRONG_ARCHITECTURE",
    message: expect.stringContaining(system),
  });
});
