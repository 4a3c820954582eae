import {
  create,
  type DescField,
  type DescMessage,
  type DescOneof,
  fromBinary,
  type Message,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { copyJson, copyScalar, isMapKey, Unfit } from "./in-process-values.js";

type Copy = (value: unknown) => unknown;
type Fields = Record<string, unknown>;

interface Member {
  readonly name: string;
  readonly kind: "always" | "optional" | "list" | "map" | "oneof";
  /** Undefined for a oneof. */
  readonly copy: Copy;
  /** By the name of the case. */
  readonly cases: ReadonlyMap<string, Copy> | undefined;
  /** For keys of a map. */
  readonly mapKey: ScalarType;
}

interface Plan {
  readonly members: readonly Member[];
  /** Set where unset fields are seen through the prototype. */
  readonly prototype: object | undefined;
}

/**
 * Copies messages so that neither side sees what the other does to its own afterwards. What comes out is what would come out of
 * the bytes of the message, without making them: a message with a value that its field cannot have is refused with the
 * same error. What was found out about a type is kept as long as the copier.
 */
export class MessageCopier {
  readonly #plans = new Map<DescMessage, Plan>();

  /** @throws as `toBinary` */
  copy<M extends Message>(desc: DescMessage, message: M): M {
    try {
      return this.#copy(this.#planOf(desc), desc.typeName, message as unknown as Fields) as unknown as M;
    } catch (error) {
      if (!(error instanceof Unfit)) throw error;
      return fromBinary(desc, toBinary(desc, message)) as M;
    }
  }

  #planOf(desc: DescMessage): Plan {
    let plan = this.#plans.get(desc);
    if (plan === undefined) {
      plan = this.#compile(desc);
      this.#plans.set(desc, plan);
    }
    return plan;
  }

  #compile(desc: DescMessage): Plan {
    const prototype = Object.getPrototypeOf(create(desc)) as object;
    return {
      members: desc.members.map((member) => (member.kind === "oneof" ? this.#oneof(member) : this.#field(member))),
      prototype: prototype === Object.prototype ? undefined : prototype,
    };
  }

  #oneof(oneof: DescOneof): Member {
    const cases = new Map(oneof.fields.map((field) => [field.localName, this.#single(field)]));
    return { name: oneof.localName, kind: "oneof", copy: (value) => value, cases, mapKey: ScalarType.STRING };
  }

  #field(field: DescField): Member {
    const mapKey = field.fieldKind === "map" ? field.mapKey : ScalarType.STRING;
    const isMany = field.fieldKind === "list" || field.fieldKind === "map";
    const kind = isMany ? field.fieldKind : isImplicit(field) ? "always" : "optional";
    return { name: field.localName, kind, copy: this.#single(field), cases: undefined, mapKey };
  }

  /** One value of a field. */
  #single(field: DescField): Copy {
    const { message } = field;
    if (message === undefined) {
      const type = field.scalar ?? ScalarType.INT32;
      const longAsString = "longAsString" in field && field.longAsString === true;
      return (value) => copyScalar(type, longAsString, value);
    }
    if (field.fieldKind === "message" && field.oneof === undefined && isWrapperDesc(message)) {
      const type = message.fields[0].scalar;
      return (value) => copyScalar(type, false, value);
    }
    if (message.typeName === "google.protobuf.Struct" && field.parent?.typeName !== "google.protobuf.Value") {
      return copyJsonObject;
    }
    let plan: Plan | undefined;
    const { typeName } = message;
    return (value) => {
      if (typeof value !== "object" || (value as Fields | null)?.$typeName !== typeName) throw new Unfit();
      // Not at once: a type may hold itself.
      plan ??= this.#planOf(message);
      return this.#copy(plan, typeName, value as Fields);
    };
  }

  #copy({ members, prototype }: Plan, typeName: string, from: Fields): Fields {
    const to: Fields = prototype === undefined ? { $typeName: typeName } : Object.create(prototype);
    if (prototype !== undefined) to.$typeName = typeName;
    for (let index = 0; index < members.length; index++) {
      const member = members[index] as Member;
      const { name, copy } = member;
      const value = from[name];
      switch (member.kind) {
        case "always":
          to[name] = copy(value);
          break;
        case "optional":
          if (value !== undefined && (prototype === undefined || Object.hasOwn(from, name))) to[name] = copy(value);
          break;
        case "list":
          to[name] = copyList(value, copy);
          break;
        case "map":
          to[name] = copyMap(value, member);
          break;
        case "oneof":
          to[name] = copyOneof(value as Fields | undefined, member);
      }
    }
    if (from.$unknown !== undefined) copyUnknown(from.$unknown as Message["$unknown"], to);
    return to;
  }
}

/** `FieldPresence.IMPLICIT` of descriptor.proto, which has no name at run time. */
const isImplicit = (field: DescField): boolean => (field.presence as number) === 2;

function copyJsonObject(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Unfit();
  return copyJson(value);
}

function copyList(value: unknown, copy: Copy): unknown[] {
  if (!Array.isArray(value)) throw new Unfit();
  const list: unknown[] = [];
  for (let index = 0; index < value.length; index++) list.push(copy(value[index]));
  return list;
}

function copyMap(value: unknown, { copy, mapKey }: Member): Fields {
  if (typeof value !== "object" || value === null) throw new Unfit();
  const map: Fields = {};
  for (const key of Object.keys(value)) {
    if (!isMapKey(mapKey, key)) throw new Unfit();
    map[key] = copy((value as Fields)[key]);
  }
  return map;
}

function copyOneof(value: Fields | undefined, { cases }: Member): Fields {
  if (typeof value !== "object" || value === null) throw new Unfit();
  if (value.case === undefined) return { case: undefined };
  const copy = cases?.get(value.case as string);
  if (copy === undefined) throw new Unfit();
  return { case: value.case, value: copy(value.value) };
}

function copyUnknown(unknown: Message["$unknown"], to: Fields): void {
  if (unknown === undefined || unknown.length === 0) return;
  to.$unknown = unknown.map(({ no, wireType, data }) => ({ no, wireType, data: new Uint8Array(data) }));
}
