/**
 * A promise-like that calls at once. Aedes takes each step of a publication with `then`; with a store that answers
 * from memory this keeps the steps in one stack, so that no publication overtakes another between them.
 */
export const settled = <T>(value: T): PromiseLike<T> => ({
  // oxlint-disable-next-line unicorn/no-thenable -- being a thenable is what this is for
  then: (<R>(fulfilled?: ((value: T) => R) | null): PromiseLike<R> =>
    settled((fulfilled === undefined || fulfilled === null ? value : fulfilled(value)) as R)) as PromiseLike<T>['then'],
});

/** The same for a rejection. */
export const failed = <T>(error: Error): PromiseLike<T> => ({
  // oxlint-disable-next-line unicorn/no-thenable -- see above
  then: (<R>(_fulfilled: unknown, rejected?: ((error: Error) => R) | null): PromiseLike<R> =>
    rejected === undefined || rejected === null
      ? failed<R>(error)
      : settled(rejected(error))) as PromiseLike<T>['then'],
});
