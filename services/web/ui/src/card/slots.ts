// Which elements show which row of a long table: a row that is drawn keeps its elements, and one that comes into sight
// takes those of one that left it.

/** The slot of each row that is drawn, by the row's key, in the order in which their elements stand in the document. */
export type Slots = ReadonlyMap<string, number>

/**
 * The slots of the rows of these keys. A slot goes from one row to another only if `shared` says so of both; the
 * others get a slot that was nobody's, so that nothing of another row's (the keyboard's focus, a chart) is in it.
 */
export function takeSlots(
  before: Slots,
  keys: readonly string[],
  shared: (key: string) => boolean,
): Map<string, number> {
  const drawn = new Set(keys)
  const coming = keys.filter((key) => !before.has(key))
  const takers = coming.filter(shared)
  const taken = new Map<string, number>()
  for (const [key, slot] of before) {
    const owner = drawn.has(key) ? key : shared(key) ? takers.shift() : undefined
    if (owner !== undefined) taken.set(owner, slot)
  }
  let next = 1 + Math.max(-1, ...before.values())
  for (const key of coming) if (!taken.has(key)) taken.set(key, next++)
  return taken
}
