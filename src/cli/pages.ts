interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

/** The most that a list answers at once. */
export const PAGE = 1000;

/** All items of a list, page by page. */
export const allItems = async <Item>(
  list: (page: { readonly limit: number; readonly after?: string }) => Promise<Page<Item>>,
): Promise<Item[]> => {
  const all: Item[] = [];
  let after: string | null = null;
  do {
    const page: Page<Item> = await list(after === null ? { limit: PAGE } : { limit: PAGE, after });
    all.push(...page.items);
    after = page.next;
  } while (after !== null);
  return all;
};
