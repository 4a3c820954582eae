/** The program of worker threads. It belongs to the SDK: what runs beside the plugin is none of the host's code. */
export const workerBootstrap = (): URL => new URL("../plugin/worker-main.js", import.meta.url);
