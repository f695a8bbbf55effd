import { operationNames, type InputOf, type OperationName, type OutputOf } from '../operations/table.ts';

export interface CallOptions {
  /** Ends the call early: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds for the answer, beside what the call itself waits for; default the client's. */
  readonly timeoutMs?: number;
}

/**
 * Calls an operation. Rejects with a `ProblemError`: what the server refused, `unavailable` where it could not be
 * reached, `timed_out` at the deadline. Answers are taken as they are, so that those of a newer server pass.
 */
export type Call = <Name extends OperationName>(
  name: Name,
  input: InputOf<Name>,
  options?: CallOptions,
) => Promise<OutputOf<Name>>;

type Noun<Name extends string> = Name extends `${infer First}.${string}` ? First : never;
type Verb<Name extends string, Of extends string> = Name extends `${Of}.${infer Rest}` ? Rest : never;

type Method<Name extends OperationName> = (
  ...args: object extends InputOf<Name>
    ? [input?: InputOf<Name>, options?: CallOptions]
    : [input: InputOf<Name>, options?: CallOptions]
) => Promise<OutputOf<Name>>;

/** Every operation as a method: `sessions.create` is `client.sessions.create(input)`. */
export type Methods = {
  readonly [Of in Noun<OperationName>]: {
    readonly [Do in Verb<OperationName, Of>]: Method<Extract<`${Of}.${Do}`, OperationName>>;
  };
};

export interface Client extends Methods {
  readonly call: Call;
}

/** The methods of a client, made from the table of operations. */
export const createMethods = (call: Call): Methods => {
  const methods: Record<string, Record<string, unknown>> = {};
  for (const name of operationNames) {
    const [noun, verb] = name.split('.') as [string, string];
    methods[noun] = {
      ...methods[noun],
      [verb]: (input: InputOf<typeof name> | undefined, options?: CallOptions) => call(name, input ?? {}, options),
    };
  }
  return methods as unknown as Methods;
};
