/** Names of fields that hold secrets wherever they stand (contract, promise 17). */
export const SENSITIVE_NAMES = [
  'authorization',
  'cookie',
  'password',
  'passwd',
  'passphrase',
  'secret',
  'client_secret',
  'token',
  'access_token',
  'refresh_token',
  'api_key',
  'private_key',
  'credentials',
] as const;

/** What stands in the place of a secret. */
export const MASK = '[redacted]';

/** `API-Key`, `apiKey` and `api_key` are one name. */
const folded = (name: string): string => name.toLowerCase().replaceAll(/[-_]/g, '');

const SENSITIVE: readonly string[] = SENSITIVE_NAMES.map(folded);

/** `github_token` is a token; `tokens` and `tokenizer` are none. */
const isSensitive = (name: string): boolean => SENSITIVE.some((ending) => name.endsWith(ending));

/** Arguments have at most 64 levels; what else is nested deeper is not worth the stack. */
const MAX_LEVELS = 100;

/**
 * A JSON value as it may be shown: the values of sensitive fields, and of those that `names` names besides, are masked at
 * every depth. Numbers and booleans go as well: what is secret is not the type. What nests deeper than 100 levels is
 * masked unseen. Where there is nothing to mask, the answer is the value itself.
 */
export const masked = (value: unknown, names: readonly string[] = []): unknown => {
  const further = new Set(names.map(folded));
  const show = (part: unknown, levels: number): unknown => {
    if (typeof part !== 'object' || part === null) return part;
    if (levels === 0) return MASK;
    if (Array.isArray(part)) {
      const shown = part.map((inner) => show(inner, levels - 1));
      return shown.every((inner, index) => inner === part[index]) ? part : shown;
    }
    const fields = Object.entries(part);
    const shown = fields.map(([name, inner]) => {
      const plain = folded(name);
      return [name, isSensitive(plain) || further.has(plain) ? MASK : show(inner, levels - 1)] as const;
    });
    return shown.every(([, inner], index) => inner === fields[index]?.[1]) ? part : Object.fromEntries(shown);
  };
  return show(value, MAX_LEVELS);
};

/** What a JSON Schema of a field is put together of without naming further fields. */
const PARTS = ['anyOf', 'oneOf', 'allOf', 'items', 'prefixItems', 'additionalProperties'];
const DEFINITION = '#/$defs/';

type Schema = Readonly<Record<string, unknown>>;
const isSchema = (node: unknown): node is Schema => typeof node === 'object' && node !== null;

/**
 * Whether the author of a field marked it `.meta({ secret: true })`, or what it is made of: one of its alternatives, the
 * elements of a list, the values of a record, a schema with a name of its own.
 */
const isMarked = (node: unknown, definitions: Schema, seen: ReadonlySet<string> = new Set()): boolean => {
  if (Array.isArray(node)) return node.some((part) => isMarked(part, definitions, seen));
  if (!isSchema(node)) return false;
  if (node['secret'] === true) return true;
  const { $ref: name } = node;
  if (typeof name === 'string' && name.startsWith(DEFINITION) && !seen.has(name))
    return isMarked(definitions[name.slice(DEFINITION.length)], definitions, new Set([...seen, name]));
  return PARTS.some((part) => isMarked(node[part], definitions, seen));
};

/** The names of the fields that a JSON Schema marks as secret, at any depth. */
export const markedSecret = (schema: unknown): readonly string[] => {
  const names = new Set<string>();
  const definitions = isSchema(schema) && isSchema(schema['$defs']) ? schema['$defs'] : {};
  const walk = (node: unknown): void => {
    if (!isSchema(node)) return;
    if (isSchema(node['properties']))
      for (const [name, inner] of Object.entries(node['properties'])) if (isMarked(inner, definitions)) names.add(name);
    for (const inner of Object.values(node)) walk(inner);
  };
  walk(schema);
  return [...names];
};
