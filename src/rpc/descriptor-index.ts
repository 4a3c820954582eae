import type { DescEnum, DescFile, DescMessage, DescService } from "@bufbuild/protobuf";
import { toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/** The proto files behind a set of services, by name and by what they declare. */
export class DescriptorIndex {
  /** Full names of the services, in the order given. */
  readonly services: readonly string[];
  readonly #files = new Map<string, DescFile>();
  /** Names of the files that declare a symbol. */
  readonly #symbols = new Map<string, string>();
  readonly #messages = new Set<string>();

  constructor(services: readonly DescService[]) {
    this.services = services.map(({ typeName }) => typeName);
    for (const { file } of services) this.#add(file);
  }

  /** The serialized file of this name with all that it imports, itself first; undefined if there is none. */
  file(name: string): Uint8Array[] | undefined {
    const wanted = this.#files.get(name);
    if (wanted === undefined) return undefined;
    const all = new Set([wanted]);
    // What is put into the set on the way is visited, too.
    for (const file of all) for (const imported of file.dependencies) all.add(imported);
    return [...all].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  }

  /** The same for the file that declares a service, method, message, field, enum or value by its full name. */
  fileOf(symbol: string): Uint8Array[] | undefined {
    // Some tools ask with the dot that stands in front of full names in descriptors.
    const name = this.#symbols.get(symbol.startsWith(".") ? symbol.slice(1) : symbol);
    return name === undefined ? undefined : this.file(name);
  }

  hasMessage(typeName: string): boolean {
    return this.#messages.has(typeName);
  }

  #add(file: DescFile): void {
    const { name } = file.proto;
    if (this.#files.has(name)) return;
    this.#files.set(name, file);
    const put = (symbol: string): void => void this.#symbols.set(symbol, name);
    const putEnum = ({ typeName, values, parent }: DescEnum): void => {
      put(typeName);
      // Values belong to what is around the enum, not to the enum itself.
      const scope = parent?.typeName ?? file.proto.package;
      for (const value of values) put(scope === "" ? value.name : `${scope}.${value.name}`);
    };
    const putMessage = (message: DescMessage): void => {
      put(message.typeName);
      this.#messages.add(message.typeName);
      for (const member of [...message.fields, ...message.oneofs]) put(`${message.typeName}.${member.name}`);
      message.nestedEnums.forEach(putEnum);
      message.nestedMessages.forEach(putMessage);
    };
    for (const { typeName, methods } of file.services) {
      put(typeName);
      for (const method of methods) put(`${typeName}.${method.name}`);
    }
    file.enums.forEach(putEnum);
    file.messages.forEach(putMessage);
    for (const { typeName } of file.extensions) put(typeName);
    for (const imported of file.dependencies) this.#add(imported);
  }
}
