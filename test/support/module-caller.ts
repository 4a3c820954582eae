import type { DescService } from "@bufbuild/protobuf";
import type { Client, Interceptor } from "@connectrpc/connect";
import type { Platform, PluginView } from "../../src/index.js";
import { definePlugin, type PluginContext } from "../../src/plugin/index.js";
import { Echo } from "./gen/echo/v1/echo_pb.js";

/** A module that only calls. */
export interface ModuleCaller<Desc extends DescService = typeof Echo> {
  readonly client: Client<Desc>;
  readonly context: PluginContext;
  readonly view: PluginView;
}

export interface ModuleCallerOptions<Desc extends DescService> {
  readonly id?: string;
  /** What it takes the service for. @default Echo */
  readonly service?: Desc;
  readonly interceptors?: readonly Interceptor[];
}

/** Adds a module that requires `echo` and gives its client away. */
export async function addModuleCaller<Desc extends DescService = typeof Echo>(
  platform: Platform,
  { id = "caller", service, interceptors = [] }: ModuleCallerOptions<Desc> = {},
): Promise<ModuleCaller<Desc>> {
  let found: PluginContext | undefined;
  const plugin = definePlugin({
    id,
    version: "1.0.0",
    requires: { echo: { service: service ?? Echo, required: false } },
    interceptors,
    setup(context) {
      found = context as unknown as PluginContext;
    },
  });
  const view = await platform.addPlugin({ module: plugin });
  const context = found as PluginContext;
  return { client: context.client("echo" as never) as Client<Desc>, context, view };
}
