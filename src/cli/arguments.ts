/** A JSON Schema as far as arguments are read by it. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
}

export type Mapped =
  | { readonly ok: true; readonly args: Record<string, unknown> }
  /** What is wrong with the words, for the one who typed them. */
  | { readonly ok: false; readonly message: string };

const typesOf = (schema: Schema): ReadonlySet<string> => {
  const own = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? []);
  const literals = 'const' in schema ? [schema.const] : (schema.enum ?? []);
  const parts = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap((part) => [...typesOf(part)]);
  return new Set([...own, ...parts, ...(own.length > 0 ? [] : literals.map((literal) => typeof literal))]);
};

const fromJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
};

/**
 * The value that a word stands for: text where text is expected, else what it is as JSON. A word that is neither stays
 * text, for the command's own schema to refuse.
 */
export const argumentValue = (schema: Schema, text: string): unknown => {
  const types = typesOf(schema);
  if (types.has('array') && !types.has('string') && !text.trimStart().startsWith('['))
    return [argumentValue(schema.items ?? {}, text)];
  return types.has('string') ? text : fromJson(text);
};

const isBoolean = (schema: Schema | undefined): boolean => {
  const types = schema === undefined ? new Set() : typesOf(schema);
  return types.has('boolean') && types.size === 1;
};

/** The order in which words without a name fill a command's arguments: the required ones first. */
export const positionalNames = (schema: Schema): readonly string[] => {
  const names = Object.keys(schema.properties ?? {});
  const required = new Set(schema.required);
  return [...names.filter((name) => required.has(name)), ...names.filter((name) => !required.has(name))];
};

/** Whether a command takes an argument of this name. A schema that names none says nothing, and takes all. */
const takes = ({ properties = {}, additionalProperties }: Schema, name: string): boolean =>
  Object.hasOwn(properties, name) ||
  additionalProperties === true ||
  typeof additionalProperties === 'object' ||
  (additionalProperties === undefined && Object.keys(properties).length === 0);

/** `--max-depth` is `max_depth` where that is what the command calls it. */
const nameOf = ({ properties = {} }: Schema, option: string): string => {
  const name = option.replaceAll('-', '_');
  return Object.hasOwn(properties, option) || !Object.hasOwn(properties, name) ? option : name;
};

/**
 * Makes a command's arguments from the words behind its name: `--name value`, `--name=value`, `--flag`, `--no-flag`, and
 * words without a name in the order of the schema, the last of them taking the rest where it is an array. `pairs` are
 * `name=value`, whatever the name.
 */
export const mapArguments = (
  command: string,
  argsSchema: Readonly<Record<string, unknown>>,
  words: readonly string[],
  pairs: readonly string[] = [],
): Mapped => {
  const schema = argsSchema as Schema;
  const { properties = {} } = schema;
  const args: Record<string, unknown> = {};
  const positional: string[] = [];
  const known = positionalNames(schema);
  const wrong = (message: string): Mapped => ({ ok: false, message });
  const unknownName = (name: string): Mapped =>
    wrong(`${command} has no argument "${name}"; it has ${known.length > 0 ? known.join(', ') : 'none'}`);

  const set = (name: string, value: unknown): void => {
    const before = args[name];
    // Defined, not assigned: `__proto__` is a name like any other.
    const next =
      Array.isArray(before) && Array.isArray(value) ? [...(before as unknown[]), ...(value as unknown[])] : value;
    Object.defineProperty(args, name, { value: next, enumerable: true, configurable: true, writable: true });
  };
  const setText = (name: string, text: string): void => set(name, argumentValue(properties[name] ?? {}, text));

  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) return wrong(`--arg wants name=value, not "${pair}"`);
    const name = pair.slice(0, at);
    if (!takes(schema, name)) return unknownName(name);
    setText(name, pair.slice(at + 1));
  }

  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] as string;
    if (word === '--') {
      positional.push(...words.slice(i + 1));
      break;
    }
    if (!word.startsWith('--')) {
      if (/^-[^\d.]/.test(word)) return wrong(`there is no option "${word}"`);
      positional.push(word);
      continue;
    }
    const at = word.indexOf('=');
    const option = word.slice(2, at === -1 ? undefined : at);
    const name = nameOf(schema, option);
    if (at !== -1) {
      if (!takes(schema, name)) return unknownName(option);
      setText(name, word.slice(at + 1));
      continue;
    }
    const negated = nameOf(schema, option.replace(/^no-/, ''));
    if (option.startsWith('no-') && !Object.hasOwn(properties, name) && isBoolean(properties[negated])) {
      set(negated, false);
      continue;
    }
    if (!takes(schema, name)) return unknownName(option);
    const next = words[i + 1];
    if (isBoolean(properties[name])) {
      if (next === 'true' || next === 'false') i += 1;
      set(name, next !== 'false');
    } else if (next === undefined || (next.startsWith('--') && next.length > 2)) {
      if (Object.hasOwn(properties, name)) return wrong(`--${option} wants a value`);
      set(name, true);
    } else {
      i += 1;
      setText(name, next);
    }
  }

  const free = known.filter((name) => !Object.hasOwn(args, name));
  for (const [index, word] of positional.entries()) {
    const last = free.at(-1);
    const name = free[index] ?? (last !== undefined && typesOf(properties[last] ?? {}).has('array') ? last : undefined);
    if (name === undefined)
      return wrong(`${command} has no place for "${word}"; its arguments: ${known.join(', ') || 'none'}`);
    setText(name, word);
  }
  return { ok: true, args };
};
