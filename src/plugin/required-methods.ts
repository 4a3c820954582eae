import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";

/** A method of a generated description as clients name it, by what the proto calls it. */
type LocalNames<Desc extends DescService> = {
  // What would be a property of every object has a `$` at its end.
  [Local in keyof Desc["method"] & string as Capitalize<Local extends `${infer Name}$` ? Name : Local>]: Local;
};

/**
 * How a method of a described service may be named in `methods`: `Log`, or with the service in front, as `log.v1.Log/Tail`. What the proto writes with a
 * small letter at the beginning has to have the service in front: descriptions do not tell the compiler how the proto spells it.
 */
export type MethodName<Desc extends DescService> = (keyof LocalNames<Desc> & string) | `${string}/${string}`;

/** Refuses methods in `requires` that the description next to them has not. Texts that are only known at run time are checked there. */
export type KnownMethods<R> = {
  readonly [Type in keyof R]: R[Type] extends {
    readonly service: infer Desc extends DescService;
    readonly methods: readonly (infer Method extends string)[];
  }
    ? string extends Method
      ? unknown
      : { readonly methods: readonly MethodName<Desc>[] }
    : unknown;
};

/** A client with those methods only that an entry of `requires` names; with all if it names none, or in another way than by their names. */
export type NarrowedClient<Desc extends DescService, Entry> = [NamedIn<Entry>] extends [never]
  ? Client<Desc>
  : [NamedIn<Entry>] extends [keyof LocalNames<Desc>]
    ? Pick<Client<Desc>, LocalNames<Desc>[NamedIn<Entry>] & keyof Client<Desc>>
    : Client<Desc>;

type NamedIn<Entry> = [Entry] extends [{ readonly methods: readonly (infer Method extends string)[] }] ? Method : never;
