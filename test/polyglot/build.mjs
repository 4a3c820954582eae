// Builds the Go plugins and the Rust plugin into `.cache/` of the checkout, or the folder that TOOL_CACHE names; prints the folder with them.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");
const goModule = join(root, "examples/go");

/** Generates the Go code of our protos and compiles the plugins, that in Rust beside them. Quick if nothing has changed. */
export function buildGoPlugins() {
  const bin = join(resolve(process.env.TOOL_CACHE ?? join(root, ".cache")), "polyglot", "bin");
  mkdirSync(bin, { recursive: true });
  const env = { ...process.env, GOBIN: bin, GOFLAGS: "", PATH: `${bin}${delimiter}${process.env.PATH}` };
  const run = (command, args, cwd) =>
    execFileSync(command, args, { cwd, env, stdio: ["ignore", "inherit", "inherit"] });

  run(
    "go",
    ["install", "google.golang.org/protobuf/cmd/protoc-gen-go", "connectrpc.com/connect/cmd/protoc-gen-connect-go"],
    goModule,
  );
  const proto = ["proto/connectplugin", "test/support/proto/echo"].flatMap((path) => ["--path", join(root, path)]);
  run(
    join(root, "node_modules/.bin/buf"),
    ["generate", root, "--template", join(goModule, "buf.gen.yaml"), "--output", goModule, ...proto],
    root,
  );
  run("go", ["install", "./library-plugin", "./serve-plugin", "./grpc-plugin"], goModule);
  run("rustc", ["-O", "--edition", "2021", "-o", join(bin, "rust-plugin"), "examples/rust/plugin.rs"], root);
  // With its many dependencies it stays out of our module.
  if (!existsSync(join(bin, "grpcurl"))) {
    run("go", ["install", "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"], here);
  }
  return bin;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) console.log(buildGoPlugins());
