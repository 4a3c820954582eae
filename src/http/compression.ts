import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";

type Transform = (bytes: Uint8Array, options: { maxOutputLength?: number }) => Promise<Buffer>;

const bytesOf = (buffer: Buffer): Uint8Array<ArrayBuffer> => buffer as Buffer<ArrayBuffer>;

function compression(name: string, compress: Transform, decompress: Transform): Compression {
  return {
    name,
    compress: async (bytes) => bytesOf(await compress(bytes, {})),
    async decompress(bytes, readMaxBytes) {
      if (bytes.length === 0) return new Uint8Array(0);
      try {
        return bytesOf(await decompress(bytes, { maxOutputLength: readMaxBytes }));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
          const message = `the message is larger than ${readMaxBytes} bytes when decompressed`;
          throw new ConnectError(message, Code.ResourceExhausted);
        }
        throw new ConnectError(`the message is not valid ${name}`, Code.InvalidArgument, undefined, undefined, error);
      }
    },
  };
}

/** The compressions that our servers read and write, best liked first. */
export const compressions: readonly Compression[] = Object.freeze([
  compression("gzip", promisify(zlib.gzip) as Transform, promisify(zlib.gunzip) as Transform),
  compression("br", promisify(zlib.brotliCompress) as Transform, promisify(zlib.brotliDecompress) as Transform),
]);
