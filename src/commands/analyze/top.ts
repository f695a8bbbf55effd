/** Keeps the first `size` of what it is given, by `order`; its memory does not grow beyond them. */
export interface Top<T> {
  add(one: T): void;
  list(): readonly T[];
}

export const createTop = <T>(size: number, order: (a: T, b: T) => number): Top<T> => {
  const best: T[] = [];
  return {
    add: (one) => {
      const last = best.at(-1);
      if (best.length === size && last !== undefined && order(one, last) >= 0) return;
      const at = best.findIndex((other) => order(one, other) < 0);
      best.splice(at === -1 ? best.length : at, 0, one);
      if (best.length > size) best.pop();
    },
    list: () => best,
  };
};
